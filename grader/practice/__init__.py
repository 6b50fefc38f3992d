"""Challenges played and checked on one machine, without a server."""
