"""The HTTP server: views, pages and gunicorn. Only this package imports Flask."""
