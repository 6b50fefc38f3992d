"""Pages for people: the first administrator's set-up, login, and an account with its keys."""

import contextlib
from typing import Any

from flask import redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

import gymserve
from gymserve.accounts.audit import Actor
from gymserve.accounts.keys import KeyOrder
from gymserve.protocol import params, wire
from gymserve.protocol.errors import GymserveError, InvalidRequest
from gymserve.store.models import Account, now
from gymserve.web.http.access import PUBLIC, allow
from gymserve.web.http.backend import backend, grading
from gymserve.web.http.browser import Pages, current

blueprint = Pages("pages")


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


@blueprint.get("/")
@allow(PUBLIC)
def home() -> str:
    """What this is, and where to go."""
    return render_template("home.html", version=gymserve.__version__, account=current(), challenges=_challenges())


def _challenges() -> list[dict[str, str]]:
    """The challenges that take submissions."""
    at = now()
    return [
        {"name": held.challenge.name, "title": held.challenge.title}
        for held in grading().competition.list()
        if held.may_submit(at)
    ]


@blueprint.route("/setup/<secret>", methods=["GET", "POST"])
@allow(PUBLIC)
def setup(secret: str) -> Any:
    """Make the first administrator."""
    backend().accounts.directory.invited(secret)
    if request.method == "GET":
        return render_template("setup.html")
    by, email = _by(), request.form.get("email", "")
    try:
        password = request.form.get("password", "")
        made = backend().accounts.directory.accept(
            secret, email, password, address=by.address, request_id=by.request_id
        )
    except InvalidRequest as error:
        return _again("setup.html", error, email=email)
    return _enter(made)


@blueprint.route("/login", methods=["GET", "POST"])
@allow(PUBLIC)
def login() -> Any:
    """Log in."""
    if request.method == "GET":
        return render_template("login.html")
    by, email = _by(), request.form.get("email", "")
    try:
        password = request.form.get("password", "")
        account = backend().accounts.entrance.log_in(email, password, address=by.address, request_id=by.request_id)
    except GymserveError as error:
        return _again("login.html", error, email=email)
    return _enter(account)


@blueprint.post("/logout")
@allow(PUBLIC)
def logout() -> AnyResponse:
    """Log out: all of the account's logins end, in case somebody has copied one."""
    if (account := current()) is not None:
        backend().accounts.directory.log_out(account.id, by=_by(account))
    session.clear()
    return redirect(url_for("pages.home"), 303)


@blueprint.get("/account")
@allow(PUBLIC)
def show_account() -> Any:
    """One's own account and keys."""
    account = current()
    if account is None:
        return redirect(url_for("pages.login"), 303)
    return _account_page(account)


def _account_page(account: Account, **more: Any) -> str:
    return render_template("account.html", account=account, keys=backend().accounts.keys.list(account.id), **more)


@blueprint.post("/account/keys")
@allow(PUBLIC)
def create_key() -> Any:
    """Make a key, and show it this once."""
    account = current()
    if account is None:
        return redirect(url_for("pages.login"), 303)
    days: Any = request.form.get("days") or None
    with contextlib.suppress(ValueError, TypeError):  # what is no number is refused below
        days = float(days)
    try:
        order = params.parse({"name": request.form.get("name"), "days": days}, KeyOrder)
        _, secret = backend().accounts.keys.create(account.id, order, by=_by(account))
    except GymserveError as error:
        return _account_page(account, message=str(error)), 400
    return _account_page(account, secret=secret)


@blueprint.post("/account/keys/<int:key_id>/revoke")
@allow(PUBLIC)
def revoke_key(key_id: int) -> AnyResponse:
    """Revoke a key."""
    account = current()
    if account is None:
        return redirect(url_for("pages.login"), 303)
    backend().accounts.keys.revoke(account.id, key_id, by=_by(account))
    return redirect(url_for("pages.show_account"), 303)


@blueprint.post("/account/name")
@allow(PUBLIC)
def change_name() -> Any:
    """Change the name that others see."""
    account = current()
    if account is None:
        return redirect(url_for("pages.login"), 303)
    try:
        backend().accounts.directory.change(account.id, name=request.form.get("name", "").strip(), by=_by(account))
    except GymserveError as error:
        return _account_page(account, message=str(error)), wire.status(error)
    return redirect(url_for("pages.show_account"), 303)


@blueprint.post("/account/password")
@allow(PUBLIC)
def change_password() -> Any:
    """Change one's password; other sessions end."""
    account = current()
    if account is None:
        return redirect(url_for("pages.login"), 303)
    by = _by(account)
    try:
        old, new = request.form.get("old", ""), request.form.get("new", "")
        backend().accounts.entrance.log_in(account.email, old, address=by.address, request_id=by.request_id)
        changed = backend().accounts.directory.change(account.id, password=new, by=by)
    except GymserveError as error:
        return _account_page(account, message=str(error)), wire.status(error)
    return _enter(changed)
