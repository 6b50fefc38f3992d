"""What all HTML pages share: cookies, forms with CSRF tokens, errors, and their visitors. The API ignores cookies."""

import functools
from collections.abc import Callable

from flask import Flask, Response, g, redirect, render_template, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.routing import Rule
from werkzeug.wrappers import Response as WerkzeugResponse

import gymserve
from gymserve.accounts.identity import EVERYBODY, Identity
from gymserve.protocol import wire
from gymserve.protocol.errors import GymserveError, NotFound
from gymserve.store.models import Account
from gymserve.web.http import times
from gymserve.web.http.access import PUBLIC, allow
from gymserve.web.http.backend import backend
from gymserve.web.http.blueprint import Blueprint

csrf = CSRFProtect()
POLICY = "default-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"


class CookieSessions(SecureCookieSessionInterface):
    """Session cookies that are marked `Secure` if the page was requested over TLS."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def register(app: Flask, *, hours: float, is_open: bool, sign_up: bool) -> None:
    """Configure the pages of `app`.

    Args:
        hours: how long a login lasts.
        is_open: whether there are no accounts.
        sign_up: whether anyone may create one.
    """
    app.session_interface = CookieSessions()
    app.config |= {
        "SESSION_COOKIE_NAME": "gymserve",
        "SESSION_COOKIE_SAMESITE": "Strict",
        "PERMANENT_SESSION_LIFETIME": hours * 3600,
        "WTF_CSRF_CHECK_DEFAULT": False,  # only `Pages` use cookies
        "WTF_CSRF_TIME_LIMIT": None,  # valid for as long as the session
    }
    app.jinja_env.filters["relative"] = times.relative
    app.jinja_env.globals |= {"is_open": is_open, "sign_up": sign_up and not is_open, "version": gymserve.__version__}
    csrf.init_app(app)
    _negotiate(app)
    app.after_request(_show_error)

    @app.context_processor
    def layout_values() -> dict[str, object]:
        return {"account": _account_or_none(), "room": request.path.split("/")[1], "here": _here()}


def wants_page() -> bool:
    """Whether a person's browser has opened the address, not a program."""
    accepted = request.headers.get("Accept", "")
    is_navigation = "text/html" in accepted and "application/xhtml+xml" in accepted
    return is_navigation and request.method in ("GET", "HEAD") and "Authorization" not in request.headers


def _negotiate(app: Flask) -> None:
    """Give a browser the page of an address that the API has too."""
    rules = [rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())]
    pages = {rule.rule: rule for rule in rules if isinstance(app.blueprints.get(_name(rule)), Pages)}
    shared = {rule.endpoint: pages[rule.rule] for rule in rules if pages.get(rule.rule, rule) is not rule}

    def choose_reader() -> None:
        page = shared.get(request.endpoint or "")
        if page is not None and wants_page():
            request.url_rule = page

    def vary(response: Response) -> Response:
        if request.url_rule is not None and request.url_rule.rule in pages:
            response.vary.add("Accept")
        return response

    app.before_request_funcs.setdefault(None, []).insert(0, choose_reader)  # before access is checked
    app.after_request(vary)


def _here() -> str:
    """Return the current address below the server's name, for links that lead back to it, or "" where none should."""
    is_entrance = request.path.startswith(("/setup/", "/login", "/signup"))  # the first contains a secret
    return "" if is_entrance else request.script_root + request.full_path.rstrip("?")


def _name(rule: Rule) -> str:
    return rule.endpoint.rpartition(".")[0]


def _account_or_none() -> Account | None:
    """Return the account that is logged in, or None, also if the database is away."""
    try:
        return current()
    except GymserveError:
        return None


def _add_policy(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", POLICY)
    return response


def _show_error(response: Response) -> Response:
    """Turn an error's JSON into a page where a browser has opened the address."""
    if response.status_code >= 400 and response.mimetype == "application/json" and wants_page():
        message = wire.read_json(response.get_data())["message"]
        response.set_data(error_page(response.status_code, message))
        response.content_type = "text/html; charset=utf-8"
        _add_policy(response)
    return response


TITLES = {
    401: "Log in first",
    403: "Not allowed",
    404: "Not found",
    405: "Not allowed here",
    429: "Too many requests",
    503: "Not available right now",
}


def error_page(status: int, message: str) -> str:
    """Render the page of an error."""
    title = TITLES.get(status, "Something went wrong" if status >= 500 else "That did not work")
    return render_template("error.html", status=status, title=title, cause=message)


def _error_page(error: GymserveError) -> tuple[str, int]:
    return error_page(wire.status(error), str(error)), wire.status(error)


def _csrf_error_page(error: CSRFError) -> tuple[str, int]:
    return error_page(400, "this form has expired: go back, reload it and send it again"), 400


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


def to_login() -> WerkzeugResponse:
    """Redirect to the login page, which leads back to the current page."""
    return redirect(url_for("pages.login", next=(request.method == "GET" and _here()) or None), 303)


def for_accounts(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """Restrict a page to logged-in visitors, who become the request's `identity`.

    Others are redirected to the login page, which leads them back.
    """

    @functools.wraps(view)
    def guarded(**more: object) -> ResponseReturnValue:
        g.identity = visitor()
        if g.identity is not None:
            return view(**more)
        return to_login()

    return allow(PUBLIC)(guarded)
