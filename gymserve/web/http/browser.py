"""What all pages for people share: cookies, forms with CSRF tokens, and who looks at them. The API never looks at cookies."""

import functools
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, g, redirect, render_template, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
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


class Sessions(SecureCookieSessionInterface):
    """Cookies go over TLS only wherever the page came over TLS."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def register(app: Flask, *, hours: float, is_open: bool) -> None:
    """Gives `app` the pages, whose sessions last `hours`. `is_open`: there are no accounts."""
    app.session_interface = Sessions()
    app.config |= {
        "SESSION_COOKIE_NAME": "gymserve",
        "SESSION_COOKIE_SAMESITE": "Strict",
        "PERMANENT_SESSION_LIFETIME": hours * 3600,
        "WTF_CSRF_CHECK_DEFAULT": False,  # only these pages have cookies
        "WTF_CSRF_TIME_LIMIT": None,  # as long as the session
    }
    app.jinja_env.globals["is_open"] = is_open
    csrf.init_app(app)


def _safe(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", POLICY)
    return response


def _refused(error: GymserveError) -> tuple[str, int]:
    return render_template("refused.html", message=str(error)), wire.status(error)


def _forged(error: CSRFError) -> tuple[str, int]:
    return render_template("refused.html", message="the form has expired: go back, reload it and send it again"), 400


class Pages(Blueprint):
    """Pages for people: their forms are checked, their answers carry the policy, their refusals are pages, too."""

    def __init__(self, name: str, *, url_prefix: str | None = None) -> None:
        super().__init__(name, scope=None, tag="Pages", url_prefix=url_prefix, refusal=_refused)
        self.before_request(csrf.protect)
        self.after_request(_safe)
        self.register_error_handler(CSRFError, _forged)


def current() -> Account | None:
    """Whose session this is."""
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
    """Who looks at a page: by its cookie alone."""
    if backend().settings.AUTH == "open":
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
            session["wanted"] = request.script_root + request.full_path
        return redirect(url_for("pages.login"), 303)

    return allow(PUBLIC)(guarded)
