"""The Flask application: the only place where the rooms are wired together."""

import os
import signal
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from grader.competition import Competition
from grader.leaderboard import Leaderboard
from grader.submissions import Submissions
from gymserve import environments, logs
from gymserve.accounts import Accounts
from gymserve.hosts.instances import Instances
from gymserve.settings import Settings
from gymserve.training.projects import Projects
from gymserve.web import access, envelope, errors, pages
from gymserve.web.background import Background
from gymserve.web.challenges import challenges
from gymserve.web.counts import Counts
from gymserve.web.health import health
from gymserve.web.lane import StepLane
from gymserve.web.openapi import openapi
from gymserve.web.projects import blueprint as projects
from gymserve.web.stream import stream
from gymserve.web.users import users
from gymserve.web.v1 import v1


def create_app(settings: Settings) -> Flask:
    """The application. It keeps no state of instances, so any number of processes may run it side by side."""
    logs.configure(settings)
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = settings.MAX_BODY_BYTES
    hosts = envelope.trusted_hosts(settings)
    app.config["TRUSTED_HOSTS"] = hosts
    # Old clients leave out trailing slashes or add some, and do not follow a redirected POST.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    catalogue = environments.Catalogue(
        settings.ENVIRONMENT_MODULES, kwargs=settings.ENVIRONMENT_KWARGS, shared=settings.SHARED_ENVIRONMENTS
    )
    instances = Instances(settings, catalogue)
    accounts = Accounts(settings)
    counts = Counts(instances.pool)
    competition = Competition(accounts.database, instances.pool.data, functions=settings.SCORING_FUNCTIONS)
    submissions = Submissions(accounts.database, competition, instances, instances.pool.data)
    door = access.Door(settings, accounts.entrance, accounts.rates)
    app.secret_key = accounts.secrets[0]
    app.extensions |= {
        "settings": settings,
        "instances": instances,
        "accounts": accounts,
        "projects": Projects(accounts.database),
        "competition": competition,
        "submissions": submissions,
        "leaderboard": Leaderboard(accounts.database, competition),
        "background": Background(settings, submissions),
        "counts": counts,
        "shutdown": _shutdown,
    }
    errors.register(app)
    access.register(app, door)
    envelope.register(app, settings, counts)
    for blueprint in (v1, stream, users, projects, challenges, health, openapi):
        app.register_blueprint(blueprint)
    pages.register(app, hours=settings.LOGIN_HOURS)
    app.view_functions["static"] = access.allow(access.PUBLIC)(app.view_functions["static"])
    application: Any = app.wsgi_app
    if settings.PROXIES:
        number = settings.PROXIES
        application = ProxyFix(application, x_for=number, x_proto=number, x_host=number)
    app.wsgi_app = StepLane(  # type: ignore[method-assign]
        application, instances, door, counts, max_body_bytes=settings.MAX_BODY_BYTES, hosts=hosts
    )
    return app


def _shutdown() -> None:
    """Asks gunicorn's arbiter, or the only process there is, to end in order."""
    arbiter = os.environ.get("GYMSERVE_ARBITER")
    os.kill(int(arbiter) if arbiter else os.getpid(), signal.SIGTERM)
