"""Pages for people: the first administrator's set-up, login, and an account with its keys; and what all pages share.

They alone use a cookie, and each of their forms carries a CSRF token; the API never looks at cookies.
"""

import functools
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Flask, Response, current_app, g, redirect, render_template, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.local import LocalProxy
from werkzeug.wrappers import Response as AnyResponse

import gymserve
from gymserve import wire
from gymserve.accounts import Accounts
from gymserve.accounts.audit import Actor
from gymserve.accounts.identity import EVERYBODY, Identity
from gymserve.errors import GymserveError, InvalidRequest, NotFound
from gymserve.store.models import Account, now
from gymserve.web.access import PUBLIC, allow, settings
from gymserve.web.dialects import runt

csrf = CSRFProtect()
accounts: Accounts = LocalProxy(lambda: current_app.extensions["accounts"])  # type: ignore[assignment]
POLICY = "default-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"


class Sessions(SecureCookieSessionInterface):
    """Cookies go over TLS only wherever the page came over TLS."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def register(app: Flask, *, hours: float) -> None:
    """Gives `app` the pages, whose sessions last `hours`."""
    app.session_interface = Sessions()
    app.config |= {
        "SESSION_COOKIE_NAME": "gymserve",
        "SESSION_COOKIE_SAMESITE": "Strict",
        "PERMANENT_SESSION_LIFETIME": hours * 3600,
        "WTF_CSRF_CHECK_DEFAULT": False,  # only these pages have cookies
        "WTF_CSRF_TIME_LIMIT": None,  # as long as the session
    }
    app.jinja_env.globals["is_open"] = app.extensions["settings"].AUTH == "open"
    csrf.init_app(app)
    app.register_blueprint(pages)


def _check_form() -> None:
    if not (request.endpoint == "pages.login" and runt.asks_to_log_in()):
        csrf.protect()


def _safe(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", POLICY)
    return response


def _refused(error: GymserveError) -> tuple[str, int]:
    return render_template("refused.html", message=str(error)), wire.status(error)


def _forged(error: CSRFError) -> tuple[str, int]:
    return render_template("refused.html", message="the form has expired: go back, reload it and send it again"), 400


def book(name: str, *, url_prefix: str | None = None) -> Blueprint:
    """A blueprint of pages: their forms are checked, their answers carry the policy, their refusals are pages, too."""
    made = Blueprint(name, __name__, url_prefix=url_prefix)
    made.before_request(_check_form)
    made.after_request(_safe)
    made.register_error_handler(GymserveError, _refused)
    made.register_error_handler(CSRFError, _forged)
    return made


pages = book("pages")


def current() -> Account | None:
    """Whose session this is."""
    if "account" not in session:
        return None
    try:
        account = accounts.directory.find(session["account"])
    except NotFound:
        account = None
    if account is None or not account.is_active or account.generation != session.get("generation"):
        session.clear()
        return None
    return account


def visitor() -> Identity | None:
    """Who looks at a page: by its cookie alone."""
    if settings().AUTH == "open":
        return EVERYBODY
    account = current()
    return None if account is None else Identity(account.id, account.email, account.role)


def for_accounts(view: Callable[..., Any]) -> Callable[..., Any]:
    """For pages of an account's own things: whoever looks becomes the request's `identity`; strangers are led to the login, and
    back from it."""

    @functools.wraps(view)
    def guarded(**more: Any) -> Any:
        g.identity = visitor()
        if g.identity is not None:
            return view(**more)
        if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
            session["wanted"] = request.full_path
        return redirect(url_for("pages.login"), 303)

    return allow(PUBLIC)(guarded)


def _enter(account: Account) -> AnyResponse:
    wanted = session.get("wanted") or url_for("pages.show_account")
    session.clear()
    session.permanent = True
    session.update(account=account.id, generation=account.generation)
    return redirect(wanted, 303)


def _by(account: Account | None = None) -> Actor:
    address, request_id = request.remote_addr or "", request.environ.get("gymserve.request_id", "")
    return Actor(account.id if account else None, account.email if account else "stranger", address, request_id)


def _again(template: str, error: GymserveError, **values: Any) -> tuple[str, int]:
    """The form once more, with what was wrong."""
    return render_template(template, message=str(error), **values), wire.status(error)


@pages.get("/")
@allow(PUBLIC)
def home() -> str:
    """What this is, and where to go."""
    return render_template("home.html", version=gymserve.__version__, account=current(), challenges=_challenges())


def _challenges() -> list[dict[str, str]]:
    """The challenges that take submissions."""
    at = now()
    return [
        {"name": held.challenge.name, "title": held.challenge.title}
        for held in current_app.extensions["competition"].list()
        if held.may_submit(at)
    ]


@pages.route("/setup/<secret>", methods=["GET", "POST"])
@allow(PUBLIC)
def setup(secret: str) -> Any:
    """Make the first administrator."""
    accounts.directory.invited(secret)
    if request.method == "GET":
        return render_template("setup.html")
    by, email = _by(), request.form.get("email", "")
    try:
        password = request.form.get("password", "")
        made = accounts.directory.accept(secret, email, password, address=by.address, request_id=by.request_id)
    except InvalidRequest as error:
        return _again("setup.html", error, email=email)
    return _enter(made)


@pages.route("/login", methods=["GET", "POST"])
@allow(PUBLIC)
def login() -> Any:
    """Log in."""
    if request.method == "GET":
        return render_template("login.html")
    if runt.asks_to_log_in():
        return runt.log_in()
    by, email = _by(), request.form.get("email", "")
    try:
        password = request.form.get("password", "")
        account = accounts.entrance.log_in(email, password, address=by.address, request_id=by.request_id)
    except GymserveError as error:
        return _again("login.html", error, email=email)
    return _enter(account)


@pages.post("/logout")
@allow(PUBLIC)
def logout() -> AnyResponse:
    """Log out."""
    session.clear()
    return redirect(url_for("pages.home"), 303)


@pages.get("/account")
@allow(PUBLIC)
def show_account() -> Any:
    """One's own account and keys."""
    account = current()
    if account is None:
        return redirect(url_for("pages.login"), 303)
    return _account_page(account)


def _account_page(account: Account, **more: Any) -> str:
    return render_template("account.html", account=account, keys=accounts.keys.list(account.id), **more)


@pages.post("/account/keys")
@allow(PUBLIC)
def create_key() -> Any:
    """Make a key, and show it this once."""
    account = current()
    if account is None:
        return redirect(url_for("pages.login"), 303)
    days = request.form.get("days", "")
    try:
        number = float(days) if days else None
        _, secret = accounts.keys.create(account.id, request.form.get("name"), days=number, by=_by(account))
    except (GymserveError, ValueError) as error:
        message = str(error) if isinstance(error, GymserveError) else "days must be a number"
        return _account_page(account, message=message), 400
    return _account_page(account, secret=secret)


@pages.post("/account/keys/<int:key_id>/revoke")
@allow(PUBLIC)
def revoke_key(key_id: int) -> AnyResponse:
    """Revoke a key."""
    account = current()
    if account is None:
        return redirect(url_for("pages.login"), 303)
    accounts.keys.revoke(account.id, key_id, by=_by(account))
    return redirect(url_for("pages.show_account"), 303)


@pages.post("/account/password")
@allow(PUBLIC)
def change_password() -> Any:
    """Change one's password; other sessions end."""
    account = current()
    if account is None:
        return redirect(url_for("pages.login"), 303)
    by = _by(account)
    try:
        old, new = request.form.get("old", ""), request.form.get("new", "")
        accounts.entrance.log_in(account.email, old, address=by.address, request_id=by.request_id)
        changed = accounts.directory.change(account.id, password=new, by=by)
    except GymserveError as error:
        return _account_page(account, message=str(error)), wire.status(error)
    return _enter(changed)
