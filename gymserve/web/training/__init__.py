"""Projects and experiments over HTTP."""
