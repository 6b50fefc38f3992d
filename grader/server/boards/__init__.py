"""Leaderboards, and the challenge server for graders elsewhere."""
