"""The requests of older systems: one package each, a thin layer over the same code as all other views."""
