"""gunicorn: how it is configured, and its worker."""
