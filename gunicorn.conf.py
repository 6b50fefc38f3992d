"""Read by `gunicorn gym_http_server:app`; what is given on its command line comes first."""

from gymserve.web.serving import options

globals().update(options())
