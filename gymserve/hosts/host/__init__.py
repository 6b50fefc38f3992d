"""The host process: an event loop that serves the agents of its instances."""
