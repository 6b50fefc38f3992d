"""What all HTML pages share: cookies, forms with CSRF tokens, and their visitors. The API ignores cookies."""

import functools
from collections.abc import Callable

from flask import Flask, Response, g, redirect, render_template, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, CSRFProtect

from gymserve.accounts.identity import EVERYBODY, Identity
from gymserve.protocol import wire
from gymserve.protocol.errors import GymserveError, NotFound
from gymserve.store.models import Account
from gymserve.web.http.access import PUBLIC, allow
from gymserve.web.http.backend import backend
from gymserve.web.http.blueprint import Blueprint

csrf = CSRFProtect()
POLICY = "default-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"


class CookieSessions(SecureCookieSessionInterface):
    """Session cookies that are marked `Secure` if the page was requested over TLS."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def register(app: Flask, *, hours: float, is_open: bool) -> None:
    """Configure the pages of `app`: logins last `hours`, and with `is_open` there are no accounts."""
    app.session_interface = CookieSessions()
    app.config |= {
        "SESSION_COOKIE_NAME": "gymserve",
        "SESSION_COOKIE_SAMESITE": "Strict",
        "PERMANENT_SESSION_LIFETIME": hours * 3600,
        "WTF_CSRF_CHECK_DEFAULT": False,  # only `Pages` use cookies
        "WTF_CSRF_TIME_LIMIT": None,  # valid for as long as the session
    }
    app.jinja_env.globals["is_open"] = is_open
    csrf.init_app(app)


def _add_policy(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", POLICY)
    return response


def _error_page(error: GymserveError) -> tuple[str, int]:
    return render_template("refused.html", message=str(error)), wire.status(error)


def _csrf_error_page(error: CSRFError) -> tuple[str, int]:
    return render_template("refused.html", message="this form has expired: go back, reload it and send it again"), 400


class Pages(Blueprint):
    """A blueprint of HTML pages: it checks CSRF tokens, sets the security policy and shows errors as pages."""

    def __init__(self, name: str, *, url_prefix: str | None = None) -> None:
        super().__init__(name, scope=None, tag="Pages", url_prefix=url_prefix, on_error=_error_page)
        self.before_request(csrf.protect)
        self.after_request(_add_policy)
        self.register_error_handler(CSRFError, _csrf_error_page)


def current() -> Account | None:
    """Return the account that is logged in, or None."""
    if "account" not in session:
        return None
    try:
        account = backend().accounts.directory.find(session["account"])
    except NotFound:
        account = None
    if account is None or not account.is_active or account.generation != session.get("generation"):
        session.clear()
        return None
    return account


def visitor() -> Identity | None:
    """Return the identity of a page's visitor, by the cookie alone, or None without a login."""
    if backend().settings.AUTH == "open":
        return EVERYBODY
    account = current()
    return None if account is None else Identity(account.id, account.email, account.role)


def for_accounts(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """Restrict a page to logged-in visitors, who become the request's `identity`.

    Others are redirected to the login page, which leads them back.
    """

    @functools.wraps(view)
    def guarded(**more: object) -> ResponseReturnValue:
        g.identity = visitor()
        if g.identity is not None:
            return view(**more)
        if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
            session["wanted"] = request.script_root + request.full_path
        return redirect(url_for("pages.login"), 303)

    return allow(PUBLIC)(guarded)
