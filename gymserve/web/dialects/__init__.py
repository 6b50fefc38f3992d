"""The requests of older systems, each in a module of its own: thin, over the rooms that everything else uses."""
