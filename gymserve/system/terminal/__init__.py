"""What commands show in a terminal, and how they are read."""
