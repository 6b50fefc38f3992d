"""The Flask application: the only place where the rooms are wired together."""

import dataclasses
import os
import signal
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from grader.challenge_servers.embedded import Embedded
from grader.competition import Competition
from grader.leaderboard import Leaderboard
from grader.outbox import Outbox
from grader.submissions import Submissions
from grader.teams import Teams
from gymserve import environments, logs
from gymserve.accounts import Accounts
from gymserve.hosts.instances import Instances
from gymserve.recording.media import Media
from gymserve.settings import SECRET, Settings
from gymserve.training.experiments import Experiments
from gymserve.training.inference import Inference
from gymserve.training.metrics import Metrics
from gymserve.training.models import Models
from gymserve.training.orders import Checker
from gymserve.training.projects import Projects
from gymserve.training.prose import Writer
from gymserve.training.runners import programs
from gymserve.training.session_records import Records
from gymserve.training.sessions import Sessions
from gymserve.training.submitting import Orders
from gymserve.training.uploads import Uploads
from gymserve.web import access, envelope, errors, pages
from gymserve.web.advice import blueprint as advice
from gymserve.web.background import Background, Process
from gymserve.web.challenges import challenges
from gymserve.web.counts import Counts
from gymserve.web.curves import blueprint as curves
from gymserve.web.dialects.rewards import blueprint as rewards
from gymserve.web.dialects.runt import blueprint as runt
from gymserve.web.experiments import blueprint as experiments
from gymserve.web.external import external
from gymserve.web.films import blueprint as films
from gymserve.web.health import health
from gymserve.web.lane import StepLane
from gymserve.web.leaderboards import blueprint as leaderboards
from gymserve.web.machine import blueprint as machine
from gymserve.web.media import media as media_views
from gymserve.web.model_pages import blueprint as model_pages
from gymserve.web.model_submissions import blueprint as model_submissions
from gymserve.web.models import blueprint as model_views
from gymserve.web.openapi import openapi
from gymserve.web.project_experiments import blueprint as project_experiments
from gymserve.web.projects import blueprint as projects
from gymserve.web.stream import stream
from gymserve.web.teams import blueprint as teams
from gymserve.web.training import blueprint as training
from gymserve.web.training_pages import blueprint as training_pages
from gymserve.web.training_parts import blueprint as training_parts
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
    catalogue = environments.Catalogue.of(settings)
    instances = Instances(settings, catalogue)
    accounts = Accounts(settings)
    counts = Counts(instances.pool)
    competition = Competition(accounts.database, instances.pool.data, functions=settings.SCORING_FUNCTIONS)
    outbox, media = Outbox.of(settings, accounts.database, instances.pool.data), Media(instances.pool.data, settings)
    submissions = Submissions(accounts.database, competition, instances, instances.pool.data, outbox, media)
    door = access.Door(settings, accounts.entrance, accounts.rates, outbox.server)
    checker = Checker(settings, catalogue, programs.read(settings.RUNNERS), instances.pool.spaces)
    trained = Experiments(
        accounts.database, checker, instances.pool.data / "experiments", most=settings.ACCOUNT_EXPERIMENTS
    )
    metrics = Metrics(accounts.database)
    models = Models(accounts.database, instances.pool.data / "models", trained.folder, media.artefacts.bucket)
    sessions = Sessions(accounts.database, trained, models)
    inference = Inference(instances.pool.data, lambda: app.extensions["background"].wake())
    playing = Orders(instances.pool.data / "playing")
    app.secret_key = accounts.secrets[0]
    app.extensions |= {
        "settings": settings,
        "instances": instances,
        "accounts": accounts,
        "projects": Projects(accounts.database),
        "experiments": trained,
        "metrics": metrics,
        "models": models,
        "uploads": Uploads(models, checker, settings),
        "sessions": sessions,
        "session_records": Records(sessions, metrics),
        "inference": inference,
        "checker": checker,
        "playing": playing,
        "writer": Writer.of(settings),
        "competition": competition,
        "submissions": submissions,
        "teams": Teams(accounts.database),
        "embedded": Embedded(accounts.database, competition),
        "leaderboard": Leaderboard(accounts.database, competition),
        "media": media,
        "background": _background(instances.pool.settings, submissions, media, trained, inference, playing),
        "counts": counts,
        "shutdown": _shutdown,
    }
    errors.register(app)
    access.register(app, door)
    envelope.register(app, settings, counts)
    for blueprint in (
        v1,
        stream,
        users,
        projects,
        project_experiments,
        experiments,
        curves,
        films,
        training,
        model_views,
        model_submissions,
        advice,
        runt,
        rewards,
        challenges,
        leaderboards,
        teams,
        external,
        media_views,
        health,
        machine,
        openapi,
        training_pages,
        training_parts,
        model_pages,
    ):
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


def _background(
    settings: Settings,
    submissions: Submissions,
    media: Media,
    trained: Experiments,
    inference: Inference,
    playing: Orders,
) -> Background:
    """What runs beside the server. Those that run environments get no more secrets than they need."""
    others = SECRET - {"S3_ACCESS_KEY", "S3_SECRET_KEY"}
    bare, barer = (
        dataclasses.replace(settings, **{name: type(getattr(settings, name))() for name in names})
        for names in (others, SECRET)
    )
    return Background(
        Process("grader.worker", lease="grading", has_work=submissions.has_work, settings=settings),
        Process("grader.reporter", lease="reporting", has_work=submissions.outbox.has_work, settings=settings),
        Process("gymserve.training.scheduler", lease="training", has_work=trained.has_work, settings=settings),
        Process("gymserve.recording.worker", lease="filming", has_work=media.has_work, settings=bare),
        Process("gymserve.training.inference", lease="answering", has_work=inference.has_work, settings=barer),
        Process("gymserve.training.player", lease="playing-lease", has_work=playing.has_work, settings=barer),
    )


def _shutdown() -> None:
    """Asks gunicorn's arbiter, or the only process there is, to end in order."""
    arbiter = os.environ.get("GYMSERVE_ARBITER")
    os.kill(int(arbiter) if arbiter else os.getpid(), signal.SIGTERM)
