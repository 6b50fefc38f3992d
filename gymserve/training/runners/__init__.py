"""Runners: each experiment is its own process group, which outlives the server that started it.

`folder.py` defines what a runner and the scheduler share: files in the experiment's folder, and nothing else.
"""
