"""The requests of RUNT."""
