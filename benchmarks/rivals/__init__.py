"""Other ways to step an environment in another process."""
