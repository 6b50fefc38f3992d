"""Projects and experiments over HTTP: requests and pages."""
