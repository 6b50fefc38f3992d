"""Experiments, their projects and metrics, as database rows."""
