"""The model server: a process that keeps models in memory and answers queries."""
