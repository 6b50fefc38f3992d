"""Other projects that step an environment in another process."""
