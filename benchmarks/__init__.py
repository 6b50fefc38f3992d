"""Measures the server beside a bare TCP echo and beside others, in one run: `python -m benchmarks`."""

from pathlib import Path

ROOT = Path(__file__).parent.parent  # of the repository
