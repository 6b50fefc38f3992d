"""Models are asked in a process of their own."""
