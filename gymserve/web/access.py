"""Who may call what: each view says which role it needs, and this is where it is enforced."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, current_app, g, request
from werkzeug.local import LocalProxy

from grader.challenge_servers import KEY_UNKNOWN
from grader.challenge_servers.crowdai import CrowdAI
from gymserve import errors, wire
from gymserve.accounts.audit import Actor
from gymserve.accounts.entrance import Entrance
from gymserve.accounts.identity import EVERYBODY, Identity
from gymserve.hosts import folders
from gymserve.rates import Rates
from gymserve.settings import Settings
from gymserve.store.models import REMOTE_PREFIX

View = TypeVar("View", bound=Callable[..., Any])
PUBLIC = "public"
PARTICIPANT, ORGANISER, ADMIN = "participant", "organiser", "admin"
SCOPES = {
    "v1": "environments",
    "stream": "environments",
    "users": "account",
    "projects": "training",
    "project_experiments": "training",
    "experiments": "training",
    "models": "training",
    "model_submissions": "training",
    "advice": "training",
    "curves": "training",
    "films": "training",
    "training": "training",
    "runt": "training",
    "rewards": "training",
    "challenges": "submissions",
    "leaderboards": "submissions",
    "teams": "submissions",
    "external": "submissions",
    "media": "submissions",
}
HOW = "send Authorization: Bearer <an API key, or a token from /token>"
PREFLIGHT = "OPTIONS"
KEY_IN_BODY = {"v1.create": "token", "v1.upload": "api_key"}

identity: Identity = LocalProxy(lambda: g.identity)  # type: ignore[assignment]


def allow(role: str) -> Callable[[View], View]:
    """Says who may call a view: accounts of `role` or a higher one, or PUBLIC. Participants, where nothing is said."""

    def note(view: View) -> View:
        view.__access__ = role  # type: ignore[attr-defined]
        return view

    return note


def acts(view: View) -> View:
    """Says that a GET of this view changes something, so that pages of other sites may not ask for it."""
    view.__acts__ = True  # type: ignore[attr-defined]
    return view


def role_for(app: Flask, endpoint: str) -> str:
    """The role that an endpoint needs."""
    return getattr(app.view_functions[endpoint], "__access__", PARTICIPANT)


class Door:
    """Tells who asks, and keeps out who may not come in. The step's fast lane and Flask's views share it."""

    def __init__(
        self, settings: Settings, entrance: Entrance, rates: Rates, challenge_server: CrowdAI | None = None
    ) -> None:
        self.open = settings.AUTH == "open"
        self.entrance, self.rates, self.challenge_server = entrance, rates, challenge_server
        self.requests_per_minute = settings.REQUESTS_PER_MINUTE
        self.origins = frozenset(settings.CORS_ORIGINS)

    def identify(self, authorization: str | None) -> Identity | None:
        """Who sends this `Authorization`; None: nobody has said.

        Raises:
            Unauthenticated: what was said is not believed.
        """
        if self.open:
            return EVERYBODY
        if not authorization:
            return None
        if authorization.startswith("Bearer "):
            return self.entrance.identify(authorization[7:])
        kind, _, secret = authorization.partition(" ")
        secret = secret.strip()
        if kind.lower() == "token" and secret.startswith("token="):
            return self.entrance.identify(secret[6:].strip('"'))  # as graders on other machines send it
        if kind.lower() != "bearer":
            raise errors.Unauthenticated(HOW)
        return self.entrance.identify(secret)

    def check_instance(self, who: Identity | None, token: str) -> None:
        """Whether `who` may use the instance with this token.

        Raises:
            Unauthenticated: nobody has said who asks, and the token alone does not suffice.
            NotFound: it would be another account's, if there is one.
        """
        if self.open:
            return
        if who is None:
            if not folders.suffices(token):
                raise errors.Unauthenticated(HOW)
            return
        if "environments" not in who.scopes:
            check_scope(who, "environments")
        # In a token a dot stands before its account's number and nowhere else; a tilde likewise.
        if f".{who.account_id}-" not in token and f"~{who.account_id}-" not in token and not who.sees_all:
            raise errors.NotFound(f"Instance_id {token:.100} unknown")

    def check_pace(self, who: Identity | None, address: str) -> None:
        """Raises: TooFast: too many requests of this account or address."""
        if self.open or not self.requests_per_minute:
            return
        rate = self.requests_per_minute / 60
        subject = who.account_id if who else address
        wait = self.rates.take("REQUESTS_PER_MINUTE", subject, rate=rate, burst=self.requests_per_minute)
        if wait:
            raise errors.TooFast(f"more than REQUESTS_PER_MINUTE = {self.requests_per_minute} requests", wait)

    def check_origin(self, origin: str | None, host: str) -> None:
        """Keeps out pages of other sites, which a visitor's browser may send here without being asked.

        Raises:
            Forbidden: a page of a site that is not in CORS_ORIGINS.
        """
        if origin is None or origin in self.origins or "*" in self.origins:
            return
        if origin.partition("://")[2] != host:
            raise errors.Forbidden("pages of other sites may not call this server: see CORS_ORIGINS")


def register(app: Flask, door: Door) -> None:
    """Asks at the door before each view."""

    @app.before_request
    def authorise() -> None:
        g.identity = None
        if request.endpoint is None or request.method == PREFLIGHT:
            return
        needed = role_for(app, request.endpoint)
        if request.method not in ("GET", "HEAD") or request.headers.get("Upgrade"):
            door.check_origin(request.headers.get("Origin"), request.host)
        elif getattr(app.view_functions[request.endpoint], "__acts__", False):
            door.check_origin(_origin(), request.host)
        try:
            g.identity = who = door.identify(request.headers.get("Authorization"))
        except errors.Unauthenticated:
            if needed != PUBLIC:
                door.check_pace(None, request.remote_addr or "")
                raise
            who = None
        if request.endpoint in KEY_IN_BODY and (who is None or (door.open and door.challenge_server)):
            g.identity = who = _of_body(door, KEY_IN_BODY[request.endpoint]) or who
        if request.endpoint != "static":
            door.check_pace(who, request.remote_addr or "")
        if needed == PUBLIC:
            return
        token = (request.view_args or {}).get("instance_id")
        if token is not None:
            door.check_instance(who, token)
        elif who is None:
            raise errors.Unauthenticated(HOW)
        elif not who.has_role(needed):
            raise errors.Forbidden(f"this is for the role {needed}: you have the role {who.role}")
        if who is not None and request.blueprint is not None:
            check_scope(who, SCOPES.get(request.blueprint, "operations"))


def _origin() -> str | None:
    """Where the page comes from that has a browser ask, also where browsers send no `Origin`, as for pictures."""
    origin = request.headers.get("Origin")
    if origin is not None or request.headers.get("Sec-Fetch-Site") not in ("cross-site", "same-site"):
        return origin
    scheme, _, rest = request.headers.get("Referer", "").partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _of_body(door: Door, name: str) -> Identity | None:
    """Who sends their key as a parameter, as old clients do, which know of no header."""
    try:
        asked = wire.read_json(request.get_data()) if request.is_json else None
    except errors.InvalidRequest:
        return None  # which the view will say
    key = asked.get(name) if isinstance(asked, dict) else None
    if not isinstance(key, str) or not key:
        return None
    g.by_body = True
    try:
        return door.entrance.identify(key)
    except errors.Unauthenticated:
        if door.challenge_server is None:
            raise errors.InvalidRequest(KEY_UNKNOWN) from None
    door.check_pace(None, request.remote_addr or "")
    participant = door.challenge_server.participant(key)
    scopes = frozenset(("environments", "submissions"))
    return Identity(0, f"{REMOTE_PREFIX}{participant:.80}", PARTICIPANT, scopes, remote_key=key)


def check_scope(who: Identity, scope: str) -> None:
    """Raises: Forbidden: the key is not good for this."""
    if scope not in who.scopes:
        raise errors.Forbidden(f"this key is not good for {scope}: it was made for {', '.join(sorted(who.scopes))}")


def actor() -> Actor:
    """Who makes the current request, for the audit log."""
    who = g.identity
    address, request_id = request.remote_addr or "", request.environ.get("gymserve.request_id", "")
    if who is None:
        return Actor(None, "stranger", address, request_id)
    return Actor.of(who, address, request_id)


def owner_only(view: View) -> View:
    """For views below `/users/<user_id>/`: only the account itself and administrators; for others there is nothing."""

    @functools.wraps(view)
    def guarded(*, user_id: int, **more: Any) -> Any:
        if (not identity.sees_all and identity.account_id != user_id) or user_id >= 2**31:
            raise errors.NotFound(f"there is no account {user_id}")
        return view(user_id=user_id, **more)

    return guarded  # type: ignore[return-value]


def settings() -> Settings:
    """The server's settings."""
    configuration: Settings = current_app.extensions["settings"]
    return configuration
