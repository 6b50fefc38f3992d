"""Models from elsewhere, of which only tensors and plain values are read."""
