"""The HTTP server: views, pages and gunicorn. Only this package imports Flask."""

from gymserve.system import extras

extras.require("server")
