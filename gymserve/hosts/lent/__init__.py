"""Lent connections: a web worker lends a client's connection to a host, which answers some requests and gives it back."""
