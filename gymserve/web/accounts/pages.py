"""Pages of accounts: set-up of the first administrator, login, account and keys."""

import contextlib
import re

from flask import redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response as WerkzeugResponse

from gymserve.accounts.audit import Actor
from gymserve.accounts.keys import KeyRequest
from gymserve.protocol import params, wire
from gymserve.protocol.errors import GymserveError, InvalidRequest, NotFound
from gymserve.store.models import Account
from gymserve.web.accounts.users import check_sign_up
from gymserve.web.http.access import PUBLIC, allow
from gymserve.web.http.backend import backend
from gymserve.web.http.browser import Pages, current, to_login

blueprint = Pages("pages")


def _log_in(account: Account) -> WerkzeugResponse:
    """Start a session for an account, and redirect to the page that it wanted."""
    target = _own_path(request.args.get("next", "")) or url_for("pages.show_account")
    session.clear()
    session.permanent = True
    session.update(account=account.id, generation=account.generation)
    return redirect(target, 303)


def _own_path(target: str) -> str | None:
    """Return a path of this server, or None for anything that leads to another one."""
    return target if re.match(r"/(?![/\\])[\x20-\x7e]*\Z", target) else None


def _actor(account: Account | None = None) -> Actor:
    """Return who makes the current request, for the audit log."""
    address, request_id = request.remote_addr or "", request.environ.get("gymserve.request_id", "")
    return Actor(account.id if account else None, account.email if account else "stranger", address, request_id)


def _form_again(template: str, error: GymserveError, **values: object) -> tuple[str, int]:
    """Show a form again, with an error message."""
    return render_template(template, message=str(error), **values), wire.status(error)


@blueprint.route("/setup/<secret>", methods=["GET", "POST"])
@allow(PUBLIC)
def setup(secret: str) -> ResponseReturnValue:
    """Create the first administrator."""
    backend().accounts.directory.invited_role(secret)
    if request.method == "GET":
        return render_template("accounts/setup.html")
    by, email = _actor(), request.form.get("email", "")
    try:
        password = request.form.get("password", "")
        account = backend().accounts.directory.accept(
            secret, email, password, address=by.address, request_id=by.request_id
        )
    except InvalidRequest as error:
        return _form_again("accounts/setup.html", error, email=email)
    return _log_in(account)


@blueprint.route("/signup", methods=["GET", "POST"])
@allow(PUBLIC)
def sign_up() -> ResponseReturnValue:
    """Create the visitor's account, if the settings let anyone create one."""
    if request.method == "GET":
        if not backend().settings.SIGN_UP:
            raise NotFound("there is no sign-up here: ask an administrator for an account")
        return render_template("accounts/signup.html")
    by, email = _actor(), request.form.get("email", "")
    try:
        check_sign_up(by.address)
        account = backend().accounts.directory.create(email, request.form.get("password", ""))
    except GymserveError as error:
        return _form_again("accounts/signup.html", error, email=email)
    return _log_in(account)


@blueprint.route("/login", methods=["GET", "POST"])
@allow(PUBLIC)
def login() -> ResponseReturnValue:
    """Log in."""
    if request.method == "GET":
        return render_template("accounts/login.html")
    by, email = _actor(), request.form.get("email", "")
    try:
        password = request.form.get("password", "")
        account = backend().accounts.authenticator.log_in(email, password, address=by.address, request_id=by.request_id)
    except GymserveError as error:
        return _form_again("accounts/login.html", error, email=email)
    return _log_in(account)


@blueprint.post("/logout")
@allow(PUBLIC)
def logout() -> WerkzeugResponse:
    """Log out, and end all of the account's logins in case one was copied."""
    if (account := current()) is not None:
        backend().accounts.directory.log_out(account.id, by=_actor(account))
    session.clear()
    return redirect(url_for("home_pages.show"), 303)


@blueprint.get("/account")
@allow(PUBLIC)
def show_account() -> ResponseReturnValue:
    """Show the visitor's account and keys."""
    account = current()
    if account is None:
        return to_login()
    return _account_page(account, secret=session.pop("new_key", None))


def _account_page(account: Account, **more: object) -> str:
    return render_template(
        "accounts/account.html", account=account, keys=backend().accounts.keys.list(account.id), **more
    )


@blueprint.post("/account/keys")
@allow(PUBLIC)
def create_key() -> ResponseReturnValue:
    """Create an API key, which is shown only once."""
    account = current()
    if account is None:
        return to_login()
    days: float | str | None = request.form.get("days") or None
    with contextlib.suppress(ValueError):  # `params.parse` refuses what is not a number
        days = float(days) if days is not None else None
    try:
        order = params.parse({"name": request.form.get("name"), "days": days}, KeyRequest)
        _, secret = backend().accounts.keys.create(account.id, order, by=_actor(account))
    except GymserveError as error:
        return _account_page(account, message=str(error)), 400
    session["new_key"] = secret  # shown once, on the next page, so that reloading it creates no second key
    return redirect(url_for("pages.show_account", _anchor="keys"), 303)


@blueprint.post("/account/keys/<int:key_id>/revoke")
@allow(PUBLIC)
def revoke_key(key_id: int) -> WerkzeugResponse:
    """Revoke an API key."""
    account = current()
    if account is None:
        return to_login()
    backend().accounts.keys.revoke(account.id, key_id, by=_actor(account))
    return redirect(url_for("pages.show_account"), 303)


@blueprint.post("/account/name")
@allow(PUBLIC)
def change_name() -> ResponseReturnValue:
    """Change the name that others see."""
    account = current()
    if account is None:
        return to_login()
    try:
        backend().accounts.directory.change(account.id, name=request.form.get("name", "").strip(), by=_actor(account))
    except GymserveError as error:
        return _account_page(account, message=str(error)), wire.status(error)
    return redirect(url_for("pages.show_account"), 303)


@blueprint.post("/account/password")
@allow(PUBLIC)
def change_password() -> ResponseReturnValue:
    """Change the password, which ends the account's other sessions."""
    account = current()
    if account is None:
        return to_login()
    by = _actor(account)
    try:
        old, new = request.form.get("old", ""), request.form.get("new", "")
        backend().accounts.authenticator.log_in(account.email, old, address=by.address, request_id=by.request_id)
        account = backend().accounts.directory.change(account.id, password=new, by=by)
    except GymserveError as error:
        return _account_page(account, message=str(error)), wire.status(error)
    return _log_in(account)
