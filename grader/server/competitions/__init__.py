"""Challenges as rows: their phases, keys, teams and entrants."""
