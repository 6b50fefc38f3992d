"""What is derived from journals, off the hot path."""
