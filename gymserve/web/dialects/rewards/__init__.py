"""rewards-api's requests."""
