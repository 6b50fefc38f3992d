"""Data derived from journals, off the hot path: videos, statistics, data sets, monitor files."""
