"""Training sessions of the rewards-api dialect."""
