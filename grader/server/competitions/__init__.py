"""Challenges in the database: their phases, keys, teams and entrants."""
