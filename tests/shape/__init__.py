"""Checks of the source: sizes, names, folders and imports, measured with `ast`; `python -m tests.shape` prints the results."""
