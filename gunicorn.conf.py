"""The settings of `gunicorn gym_http_server:app` in this folder."""

from gymserve.web.serving.settings import *  # noqa: F403
