"""Training plans: what an experiment runs, checked before it starts."""
