"""gymserve: reinforcement-learning environments over HTTP, graded and trained on."""

__version__ = "0.1.0"
