"""The definitions that the server and its clients share: errors, messages, spaces and recipes."""
