"""How the client reaches a server: addresses, HTTP, streams, errors, and connections to instances."""
