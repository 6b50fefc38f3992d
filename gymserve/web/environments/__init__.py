"""Pages of the catalogue's environments."""
