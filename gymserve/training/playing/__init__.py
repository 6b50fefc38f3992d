"""Models play challenges."""
