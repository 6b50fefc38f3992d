"""RUNT's requests."""
