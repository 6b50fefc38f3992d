"""Scores: computed from journals, and ranked on leaderboards."""
