"""Wrappers around the operating system: processes, files, shared memory, logs."""
