"""Leaderboards, and the challenge server that external graders report to."""
