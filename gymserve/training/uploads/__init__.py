"""Uploaded models, from which only tensors and plain values are read."""
