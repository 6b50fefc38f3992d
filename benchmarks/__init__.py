"""Measures the server beside a bare TCP echo and beside others, in one run: `python -m benchmarks`."""
