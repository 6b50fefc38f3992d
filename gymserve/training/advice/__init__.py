"""The assistant, which reads learning curves."""
