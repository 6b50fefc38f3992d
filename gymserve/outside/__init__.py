"""Clients of other servers, which the settings name."""
