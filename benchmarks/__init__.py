"""Compares the server with a plain TCP echo and with other servers, in one run: `python -m benchmarks`."""

from pathlib import Path

ROOT = Path(__file__).parent.parent  # of the repository
