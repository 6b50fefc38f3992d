"""Challenges, submissions and leaderboards over HTTP."""
