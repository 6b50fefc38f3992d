"""Challenges: read, checked, with their seeds."""
