"""Videos: an episode is replayed with a renderer, and encoded."""
