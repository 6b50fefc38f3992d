"""A host's process: an event loop over its instances' agents."""
