"""Runners: each experiment is a process group of its own, which outlives the server that started it.

`folder.py` is what a runner and the scheduler share: files in the experiment's folder, and nothing else.
"""
