"""Training: projects, which group experiments."""
