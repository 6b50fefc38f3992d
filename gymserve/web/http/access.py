"""Who may call what: each view says which role it needs, and this is where it is enforced."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from flask import Flask, Response, g, request

from gymserve.accounts.audit import Actor
from gymserve.accounts.entrance import Entrance
from gymserve.accounts.identity import EVERYBODY, Identity, Scope
from gymserve.hosts import folders
from gymserve.protocol import errors, text, wire
from gymserve.store.models import REMOTE_PREFIX
from gymserve.system.rates import Rates
from gymserve.web.http.backend import backend
from gymserve.web.http.blueprint import Blueprint

View = TypeVar("View", bound=Callable[..., Any])
PUBLIC = "public"
PARTICIPANT, ORGANISER, ADMIN = "participant", "organiser", "admin"
STRANGERS_BYTES = 1 << 16  # of a body whose sender is not known
BODY_BYTES = 1 << 20  # of one that is not said to be large
HOW = "send Authorization: Bearer <an API key, or a token from /token>"
PREFLIGHT = "OPTIONS"


def caller() -> Identity | None:
    """Who sends the current request; None: nobody has said, which PUBLIC views answer as well."""
    who: Identity | None = g.identity
    return who


def identity() -> Identity:
    """Who sends the current request.

    Raises:
        Unauthenticated: nobody has said.
    """
    if (who := caller()) is None:
        raise errors.Unauthenticated(HOW)
    return who


def mark(view: View, name: str, value: object) -> View:
    """Notes `value` at a view, where what is made around it with `functools.wraps` has it, too."""
    setattr(view, f"__{name}__", value)
    return view


def allow(role: str) -> Callable[[View], View]:
    """Says who may call a view: accounts of `role` or a higher one, or PUBLIC. Participants, where nothing is said."""

    def note(view: View) -> View:
        return mark(view, "access", role)

    return note


def acts(view: View) -> View:
    """Says that a GET of this view changes something, so that pages of other sites may not ask for it."""
    return mark(view, "acts", True)


def ticketed(view: View) -> View:
    """Says that a ticket in the query lets somebody in at this view, which pages open without headers."""
    return mark(view, "ticketed", True)


def is_ticketed(view: Callable[..., Any]) -> bool:
    return getattr(view, "__ticketed__", False)


def key_in_body(name: str) -> Callable[[View], View]:
    """Says that old clients, which know of no header, send their key to this view as the parameter `name`."""

    def note(view: View) -> View:
        return mark(view, "key_in_body", name)

    return note


def large(view: View) -> View:
    """Says that bodies of this view may have MAX_BODY_BYTES, of whoever is known."""
    return mark(view, "large", True)


def role_for(app: Flask, endpoint: str) -> str:
    """The role that an endpoint needs."""
    return getattr(app.view_functions[endpoint], "__access__", PARTICIPANT)


class Door:
    """Tells who asks, and keeps out who may not come in. The step's fast lane and Flask's views share it.

    Args:
        is_open: everybody may do everything.
        requests_per_minute: of an account or address; 0: any number.
        origins: of pages elsewhere that may call this server.
        participant: the id of a challenge server's participant with a key; raises InvalidRequest.
        takes_participants: there is such a server.
    """

    def __init__(
        self,
        entrance: Entrance,
        rates: Rates,
        *,
        is_open: bool,
        requests_per_minute: int,
        origins: Iterable[str],
        participant: Callable[[str], str],
        takes_participants: bool,
    ) -> None:
        self.entrance, self.rates = entrance, rates
        self.open, self.requests_per_minute, self.origins = is_open, requests_per_minute, frozenset(origins)
        self.participant, self.takes_participants = participant, takes_participants

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
        text.check(request.path)
        view, needed = app.view_functions[request.endpoint], role_for(app, request.endpoint)
        if request.method not in ("GET", "HEAD") or request.headers.get("Upgrade"):
            door.check_origin(request.headers.get("Origin"), request.host)
        elif getattr(view, "__acts__", False):
            door.check_origin(_origin(), request.host)
        try:
            g.identity = who = _by_ticket(app, door) or door.identify(request.headers.get("Authorization"))
        except errors.Unauthenticated:
            if needed != PUBLIC:
                door.check_pace(None, request.remote_addr or "")
                raise
            who = None
        _limit_body(app, view, who)
        key = getattr(view, "__key_in_body__", None)
        if key is not None and (who is None or (door.open and door.takes_participants)):
            g.identity = who = _of_body(door, key) or who
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
        blueprint = app.blueprints.get(request.blueprint or "")
        if who is not None and isinstance(blueprint, Blueprint) and blueprint.scope is not None:
            check_scope(who, blueprint.scope)


def _by_ticket(app: Flask, door: Door) -> Identity | None:
    """Who has sent a ticket instead of a key; None: nobody.

    Raises:
        Unauthenticated: it is not good for this.
    """
    ticket = request.args.get("ticket")
    if ticket is None or door.open or "Authorization" in request.headers or request.method != "GET":
        return None
    if not is_ticketed(app.view_functions[str(request.endpoint)]):
        return None
    return backend().accounts.tickets.redeem(ticket, request.path)


def _limit_body(app: Flask, view: Callable[..., Any], who: Identity | None) -> None:
    """Before anything of the body is read."""
    if who is None or not getattr(view, "__large__", False):
        most = STRANGERS_BYTES if who is None else BODY_BYTES
        request.max_content_length = min(app.config["MAX_CONTENT_LENGTH"], most)


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
    if not isinstance(key, str) or not (key := key.strip()):  # one read from a file ends with its line
        return None
    g.by_body = True
    try:
        return door.entrance.identify(key)
    except errors.Unauthenticated:
        door.check_pace(None, request.remote_addr or "")
    scopes = frozenset(("environments", "submissions"))
    return Identity(0, f"{REMOTE_PREFIX}{door.participant(key):.80}", PARTICIPANT, scopes, remote_key=key)


def check_scope(who: Identity, scope: Scope) -> None:
    """Raises: Forbidden: the key is not good for this."""
    if scope not in who.scopes:
        raise errors.Forbidden(f"this key is not good for {scope}: it was made for {', '.join(sorted(who.scopes))}")


def actor() -> Actor:
    """Who makes the current request, for the audit log."""
    who = caller()
    address, request_id = request.remote_addr or "", request.environ.get("gymserve.request_id", "")
    if who is None:
        return Actor(None, "stranger", address, request_id)
    return Actor.of(who, address, request_id)


def owner_only(view: Callable[..., Response]) -> Callable[..., Response]:
    """For views below `/users/<user_id>/`: only the account itself and administrators; for others there is nothing."""

    @functools.wraps(view)
    def guarded(*, user_id: int, **more: Any) -> Response:
        who = identity()
        if (not who.sees_all and who.account_id != user_id) or user_id >= 2**31:
            raise errors.NotFound(f"there is no account {user_id}")
        return view(user_id=user_id, **more)

    return guarded
