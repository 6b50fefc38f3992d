"""Access control: each view declares the role it needs, and the guard enforces it."""

import functools
import math
from collections.abc import Callable, Iterable
from typing import TypeVar

from flask import Flask, Response, g, request

from gymserve.accounts.audit import Actor
from gymserve.accounts.authenticator import Authenticator
from gymserve.accounts.identity import EVERYBODY, Identity, Scope
from gymserve.hosts import folders
from gymserve.protocol import errors, text, wire
from gymserve.store.models import REMOTE_PREFIX
from gymserve.system.rates import Rates
from gymserve.web.http.backend import backend
from gymserve.web.http.blueprint import Blueprint

View = TypeVar("View", bound=Callable[..., object])
PUBLIC = "public"
PARTICIPANT, ORGANISER, ADMIN = "participant", "organiser", "admin"
ANONYMOUS_BODY_BYTES = 1 << 16  # the limit for senders that are not authenticated
BODY_BYTES = 1 << 20  # the limit for views that are not marked `large`
CREDENTIALS_NEEDED = "send Authorization: Bearer <an API key, or a token from /token>"
PREFLIGHT = "OPTIONS"


def caller() -> Identity | None:
    """Return who sends the current request, or None if it is anonymous, which PUBLIC views allow."""
    who: Identity | None = g.identity
    return who


def identity() -> Identity:
    """Return who sends the current request.

    Raises:
        Unauthenticated: the request is anonymous.
    """
    if (who := caller()) is None:
        raise errors.Unauthenticated(CREDENTIALS_NEEDED)
    return who


def mark(view: View, name: str, value: object) -> View:
    """Set an attribute on a view; `functools.wraps` copies it to the functions that wrap the view."""
    setattr(view, f"__{name}__", value)
    return view


def allow(role: str) -> Callable[[View], View]:
    """Declare who may call a view: accounts with `role` or a higher one, or anybody (PUBLIC).

    Views without this declaration need a participant.
    """

    def note(view: View) -> View:
        return mark(view, "access", role)

    return note


def changes_state(view: View) -> View:
    """Declare that a GET of this view changes something, so pages of other sites may not request it."""
    return mark(view, "changes_state", True)


def ticketed(view: View) -> View:
    """Declare that this view accepts a ticket in its query, since pages open it without headers."""
    return mark(view, "ticketed", True)


def is_ticketed(view: Callable[..., object]) -> bool:
    return getattr(view, "__ticketed__", False)


def key_in_body(name: str) -> Callable[[View], View]:
    """Declare that old clients, which send no header, send their key to this view as the parameter `name`."""

    def note(view: View) -> View:
        return mark(view, "key_in_body", name)

    return note


def large(view: View) -> View:
    """Declare that authenticated callers may send this view bodies of up to MAX_BODY_BYTES."""
    return mark(view, "large", True)


def role_for(app: Flask, endpoint: str) -> str:
    """Return the role that an endpoint needs."""
    return getattr(app.view_functions[endpoint], "__access__", PARTICIPANT)


class Guard:
    """Identifies callers and refuses requests that they may not make. Flask's views and the fast path share it.

    Args:
        is_open: whether everybody may do everything.
        requests_per_minute: the limit for each account or address; 0 means no limit.
        origins: the origins of other sites' pages that may call this server.
        participant: returns the id of the challenge server's participant with a key, or raises InvalidRequest.
        accepts_participants: whether an external challenge server is configured.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        rates: Rates,
        *,
        is_open: bool,
        requests_per_minute: int,
        origins: Iterable[str],
        participant: Callable[[str], str],
        accepts_participants: bool,
    ) -> None:
        self.authenticator, self.rates = authenticator, rates
        self.open, self.requests_per_minute, self.origins = is_open, requests_per_minute, frozenset(origins)
        self.participant, self.accepts_participants = participant, accepts_participants

    def identify(self, authorization: str | None) -> Identity | None:
        """Return the sender of an `Authorization` header, or None without one.

        Raises:
            Unauthenticated: the credentials are not valid.
        """
        if self.open:
            return EVERYBODY
        if not authorization:
            return None
        return self.authenticator.identify(_secret(authorization))

    def validity(self, authorization: str | None) -> tuple[float, int]:
        """Return how long the sender of a header is known without being identified again.

        Returns: the monotonic time, and the revision of the accounts with which it ends before that time.

        Raises:
            Unauthenticated: the credentials are not valid.
        """
        if self.open or not authorization:
            return math.inf, self.authenticator.revision.read()
        return self.authenticator.validity(_secret(authorization))

    def check_instance(self, who: Identity | None, token: str) -> None:
        """Check that `who` may use the instance with this token.

        Raises:
            Unauthenticated: the request is anonymous, and the token alone does not suffice.
            NotFound: the token belongs to another account, whether or not the instance exists.
        """
        if self.open:
            return
        if who is None:
            if not folders.suffices(token):
                raise errors.Unauthenticated(CREDENTIALS_NEEDED)
            return
        if "environments" not in who.scopes:
            check_scope(who, "environments")
        # In a token, a dot or a tilde occurs only before the account's number.
        if f".{who.account_id}-" not in token and f"~{who.account_id}-" not in token and not who.sees_all:
            raise errors.NotFound(f"Instance_id {token:.100} unknown")

    def rate(self, who: Identity | None, address: str) -> tuple[int | str, int] | None:
        """Return whose requests are counted, and how many are allowed per minute; None for no limit."""
        if self.open or not self.requests_per_minute:
            return None
        return (who.account_id if who else address), self.requests_per_minute

    def check_rate(self, who: Identity | None, address: str) -> None:
        """Count a request against its account's rate limit, or against its address's if it is anonymous.

        Raises:
            TooFast: the account or address has exceeded its limit.
        """
        if (rate := self.rate(who, address)) is None:
            return
        wait = self.rates.acquire("REQUESTS_PER_MINUTE", rate[0], rate=rate[1] / 60, burst=rate[1])
        if wait:
            raise errors.TooFast(f"more than REQUESTS_PER_MINUTE = {self.requests_per_minute} requests", wait)

    def check_origin(self, origin: str | None, host: str) -> None:
        """Refuse requests that a page of another site makes through a visitor's browser.

        Raises:
            Forbidden: the page's origin is not in CORS_ORIGINS.
        """
        if origin is None or origin in self.origins or "*" in self.origins:
            return
        if origin.partition("://")[2] != host:
            raise errors.Forbidden("pages of other sites may not call this server: see CORS_ORIGINS")


def _secret(authorization: str) -> str:
    """Return the key or token in an `Authorization` header."""
    if authorization.startswith("Bearer "):
        return authorization[7:]
    kind, _, secret = authorization.partition(" ")
    secret = secret.strip()
    if kind.lower() == "token" and secret.startswith("token="):
        return secret[6:].strip('"')  # the form that external graders send
    if kind.lower() != "bearer":
        raise errors.Unauthenticated(CREDENTIALS_NEEDED)
    return secret


def register(app: Flask, guard: Guard) -> None:
    """Check every request of `app` with the guard before its view runs."""

    @app.before_request
    def authorise() -> None:
        g.identity = None
        if request.endpoint is None or request.method == PREFLIGHT:
            return
        text.check(request.path)
        view, role = app.view_functions[request.endpoint], role_for(app, request.endpoint)
        if request.method not in ("GET", "HEAD") or request.headers.get("Upgrade"):
            guard.check_origin(request.headers.get("Origin"), request.host)
        elif getattr(view, "__changes_state__", False):
            guard.check_origin(_origin(), request.host)
        try:
            g.identity = who = _identity_by_ticket(app, guard) or guard.identify(request.headers.get("Authorization"))
        except errors.Unauthenticated:
            if role != PUBLIC:
                guard.check_rate(None, request.remote_addr or "")
                raise
            who = None
        _limit_body(app, view, who)
        key = getattr(view, "__key_in_body__", None)
        if key is not None and (who is None or (guard.open and guard.accepts_participants)):
            g.identity = who = _identity_by_body(guard, key) or who
        if request.endpoint != "static":
            guard.check_rate(who, request.remote_addr or "")
        if role == PUBLIC:
            return
        token = (request.view_args or {}).get("instance_id")
        if token is not None:
            guard.check_instance(who, token)
        elif who is None:
            raise errors.Unauthenticated(CREDENTIALS_NEEDED)
        elif not who.has_role(role):
            raise errors.Forbidden(f"this needs the role {role}: you have the role {who.role}")
        blueprint = app.blueprints.get(request.blueprint or "")
        if who is not None and isinstance(blueprint, Blueprint) and blueprint.scope is not None:
            check_scope(who, blueprint.scope)


def _identity_by_ticket(app: Flask, guard: Guard) -> Identity | None:
    """Return the sender of a ticket, or None if the request has none or its view accepts none.

    Raises:
        Unauthenticated: the ticket is not valid for this path.
    """
    ticket = request.args.get("ticket")
    if ticket is None or guard.open or "Authorization" in request.headers or request.method != "GET":
        return None
    if not is_ticketed(app.view_functions[str(request.endpoint)]):
        return None
    return backend().accounts.tickets.redeem(ticket, request.path)


def _limit_body(app: Flask, view: Callable[..., object], who: Identity | None) -> None:
    """Set the limit of the body's size, before any of it is read."""
    if who is None or not getattr(view, "__large__", False):
        limit = ANONYMOUS_BODY_BYTES if who is None else BODY_BYTES
        request.max_content_length = min(app.config["MAX_CONTENT_LENGTH"], limit)


def _origin() -> str | None:
    """Return the origin of the page behind a request, even for images, where browsers send no `Origin`."""
    origin = request.headers.get("Origin")
    if origin is not None or request.headers.get("Sec-Fetch-Site") not in ("cross-site", "same-site"):
        return origin
    scheme, _, rest = request.headers.get("Referer", "").partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _identity_by_body(guard: Guard, name: str) -> Identity | None:
    """Return the owner of the key that an old client, which sends no header, sends as a parameter."""
    try:
        payload = wire.read_json(request.get_data()) if request.is_json else None
    except errors.InvalidRequest:
        return None  # the view reports it
    key = payload.get(name) if isinstance(payload, dict) else None
    if not isinstance(key, str) or not (key := key.strip()):  # a key read from a file ends with a newline
        return None
    g.by_body = True
    try:
        return guard.authenticator.identify(key)
    except errors.Unauthenticated:
        guard.check_rate(None, request.remote_addr or "")
    scopes = frozenset(("environments", "submissions"))
    return Identity(0, f"{REMOTE_PREFIX}{guard.participant(key):.80}", PARTICIPANT, scopes, remote_key=key)


def check_scope(who: Identity, scope: Scope) -> None:
    """Check that the caller's key has a scope.

    Raises:
        Forbidden: it does not.
    """
    if scope not in who.scopes:
        raise errors.Forbidden(f"this key lacks the scope {scope}: its scopes are {', '.join(sorted(who.scopes))}")


def actor() -> Actor:
    """Return who makes the current request, for the audit log."""
    who = caller()
    address, request_id = request.remote_addr or "", request.environ.get("gymserve.request_id", "")
    if who is None:
        return Actor(None, "stranger", address, request_id)
    return Actor.of(who, address, request_id)


def owner_only(view: Callable[..., Response]) -> Callable[..., Response]:
    """Restrict a view below `/users/<user_id>/` to the account itself and administrators; others get a 404."""

    @functools.wraps(view)
    def guarded(*, user_id: int, **more: object) -> Response:
        who = identity()
        if (not who.sees_all and who.account_id != user_id) or user_id >= 2**31:
            raise errors.NotFound(f"there is no account {user_id}")
        return view(user_id=user_id, **more)

    return guarded
