"""The Flask application: the only place where the rooms are wired together."""

import os
import signal

from flask import Flask

from gymserve import environments
from gymserve.hosts.instances import Instances
from gymserve.settings import Settings
from gymserve.web import errors
from gymserve.web.health import health
from gymserve.web.lane import StepLane
from gymserve.web.openapi import openapi
from gymserve.web.stream import stream
from gymserve.web.v1 import v1


def create_app(settings: Settings) -> Flask:
    """The application. It keeps no state of instances, so any number of processes may run it side by side."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = settings.MAX_BODY_BYTES
    # Old clients leave out trailing slashes or add some, and do not follow a redirected POST.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    catalogue = environments.Catalogue(
        settings.ENVIRONMENT_MODULES, kwargs=settings.ENVIRONMENT_KWARGS, shared=settings.SHARED_ENVIRONMENTS
    )
    instances = Instances(settings, catalogue)
    app.extensions["instances"] = instances
    app.extensions["shutdown"] = _shutdown
    errors.register(app)
    for blueprint in (v1, stream, health, openapi):
        app.register_blueprint(blueprint)
    app.wsgi_app = StepLane(app.wsgi_app, instances, max_body_bytes=settings.MAX_BODY_BYTES)  # type: ignore[method-assign]
    return app


def _shutdown() -> None:
    """Asks gunicorn's arbiter, or the only process there is, to end in order."""
    arbiter = os.environ.get("GYMSERVE_ARBITER")
    os.kill(int(arbiter) if arbiter else os.getpid(), signal.SIGTERM)
