"""Models that play challenges."""
