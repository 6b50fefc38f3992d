"""Training sessions of rewards-api."""
