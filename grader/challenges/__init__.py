"""Challenges: their definitions, their seeds, and the states of submissions."""
