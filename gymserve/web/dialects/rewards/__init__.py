"""The requests of rewards-api."""
