"""The Flask application, the only place where the packages are wired together."""

from wsgiref.types import WSGIApplication

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from gymserve.settings import Settings
from gymserve.system import logs
from gymserve.web.accounts.pages import blueprint as account_pages
from gymserve.web.accounts.tickets import blueprint as ticket_views
from gymserve.web.accounts.users import blueprint as users
from gymserve.web.challenges.api import blueprint as challenges
from gymserve.web.challenges.decisions import blueprint as decisions
from gymserve.web.challenges.external import blueprint as external
from gymserve.web.challenges.leaderboards import blueprint as leaderboards
from gymserve.web.challenges.media import blueprint as media_views
from gymserve.web.challenges.pages import blueprint as board_pages
from gymserve.web.challenges.teams import blueprint as teams
from gymserve.web.dialects.rewards.api import blueprint as rewards
from gymserve.web.dialects.runt.api import blueprint as runt
from gymserve.web.environments.pages import blueprint as environment_pages
from gymserve.web.home import blueprint as home
from gymserve.web.http import access, browser, envelope, errors, parameters
from gymserve.web.http.backend import KEY, Backend
from gymserve.web.http.openapi import blueprint as openapi
from gymserve.web.instances.fast_path import Context, StepFastPath
from gymserve.web.instances.stream import blueprint as stream
from gymserve.web.instances.v1 import blueprint as v1
from gymserve.web.models.api import blueprint as model_views
from gymserve.web.models.pages import blueprint as model_pages
from gymserve.web.models.submissions import blueprint as model_submissions
from gymserve.web.operations.health import blueprint as health
from gymserve.web.operations.machine import blueprint as machine
from gymserve.web.training.advice import blueprint as advice
from gymserve.web.training.catalogue import blueprint as training
from gymserve.web.training.curves import blueprint as curves
from gymserve.web.training.experiments import blueprint as experiments
from gymserve.web.training.pages import blueprint as training_pages
from gymserve.web.training.parts import blueprint as training_parts
from gymserve.web.training.project_experiments import blueprint as project_experiments
from gymserve.web.training.projects import blueprint as projects
from gymserve.web.training.videos import blueprint as videos

BLUEPRINTS = (
    v1,
    stream,
    users,
    ticket_views,
    projects,
    project_experiments,
    experiments,
    curves,
    videos,
    training,
    model_views,
    model_submissions,
    advice,
    runt,
    rewards,
    challenges,
    leaderboards,
    decisions,
    teams,
    external,
    media_views,
    health,
    machine,
    openapi,
    home,
    account_pages,
    environment_pages,
    board_pages,
    training_pages,
    training_parts,
    model_pages,
)


def create_app(settings: Settings) -> Flask:
    """Create the application. It keeps no instance state, so any number of processes can run it side by side."""
    logs.configure(settings.pick(logs.LogSettings))
    app = Flask(__name__)
    app.request_class = parameters.StrictRequest
    app.config["MAX_CONTENT_LENGTH"] = settings.MAX_BODY_BYTES
    # Old clients omit trailing slashes or add extra ones, and do not follow a redirected POST.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    backend = Backend.of(settings)
    app.extensions[KEY] = backend
    app.secret_key = backend.accounts.secrets[0]
    guard = _guard(backend)
    errors.register(app)
    hosts = envelope.trusted_hosts(settings.TRUSTED_HOSTS, host=settings.HOST, local=settings.is_local)
    envelope.register(app, backend.counts, hosts=hosts, origins=settings.CORS_ORIGINS)
    access.register(app, guard)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    is_open, sign_up = settings.AUTH == "open", settings.SIGN_UP
    browser.register(app, hours=settings.LOGIN_HOURS, is_open=is_open, sign_up=sign_up)
    app.view_functions["static"] = access.allow(access.PUBLIC)(app.view_functions["static"])
    app.wsgi_app = _step_fast_path(app, backend, guard, hosts)  # type: ignore[method-assign]  # as Flask's documentation wraps it
    return app


def _guard(backend: Backend) -> access.Guard:
    settings = backend.settings
    return access.Guard(
        backend.accounts.authenticator,
        backend.accounts.rates,
        is_open=settings.AUTH == "open",
        requests_per_minute=settings.REQUESTS_PER_MINUTE,
        origins=settings.CORS_ORIGINS,
        participant=backend.grading.participant,
        accepts_participants=backend.grading.is_reported,
    )


def _step_fast_path(app: Flask, backend: Backend, guard: access.Guard, hosts: tuple[str, ...] | None) -> StepFastPath:
    """Wrap the application in the fast path of steps, behind the number of proxies in the settings."""
    settings = backend.settings
    application: WSGIApplication = app.wsgi_app
    if number := settings.PROXIES:
        application = ProxyFix(application, x_for=number, x_proto=number, x_host=number, x_prefix=number)
    lines = "".join(f"{name}: {value}\r\n" for name, value in envelope.common_headers(settings.CORS_ORIGINS))
    context = Context(
        max_body_bytes=settings.MAX_BODY_BYTES,
        hosts=hosts,
        local=settings.is_local,
        reset_headers=None if number else lines.encode(),
    )
    return StepFastPath(application, backend.instances, guard, backend.counts, context)
