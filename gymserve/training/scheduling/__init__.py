"""The scheduler: a process that starts, watches and ends experiments, and makes dry runs."""
