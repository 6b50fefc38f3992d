"""gunicorn: its configuration and our worker class."""
