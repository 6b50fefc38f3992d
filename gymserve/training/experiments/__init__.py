"""Experiments, their projects and their metrics, as rows."""
