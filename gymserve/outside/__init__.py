"""Other servers, which settings name."""
