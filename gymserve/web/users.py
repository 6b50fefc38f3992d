"""Accounts over HTTP: `/token`, `/users/…` as the TJU platform's clients call them, and API keys."""

from typing import Any

from flask import Blueprint, Response, current_app, request
from werkzeug.local import LocalProxy

from gymserve import errors
from gymserve.accounts import Accounts
from gymserve.accounts.identity import SCOPES
from gymserve.store.models import Account, ApiKey
from gymserve.training.projects import Projects
from gymserve.web import parameters, schemas
from gymserve.web.access import ADMIN, PUBLIC, actor, allow, identity, owner_only, settings
from gymserve.web.answers import json_answer, no_content
from gymserve.web.openapi import documented
from gymserve.web.projects import project_rows

users = Blueprint("users", __name__)
accounts: Accounts = LocalProxy(lambda: current_app.extensions["accounts"])  # type: ignore[assignment]
projects: Projects = LocalProxy(lambda: current_app.extensions["projects"])  # type: ignore[assignment]
OTHERS = (401, 403)


def account_rows(found: list[Account]) -> list[dict[str, Any]]:
    """Accounts as they are answered."""
    theirs = projects.of_all([account.id for account in found])
    rows = project_rows([project for each in theirs.values() for project in each])
    return [
        {
            "email": account.email,
            "id": account.id,
            "is_active": account.is_active,
            "role": account.role,
            "created_at": account.created_at.isoformat(),
            "projects": [row for row in rows if row["owner_id"] == account.id],
        }
        for account in found
    ]


def key_row(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "scopes": key.scopes.split(",") if key.scopes else None,
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at and key.expires_at.isoformat(),
    }


@users.post("/token")
@allow(PUBLIC)
@documented(schemas.Token, form=schemas.Login, errors=(401, 429))
def token() -> Response:
    """Log in with a password (OAuth2 password flow)."""
    form = request.form
    if form.get("grant_type", "") not in ("", "password"):
        raise errors.InvalidRequest("grant_type must be password")
    for name in ("username", "password"):
        if not form.get(name):
            raise errors.InvalidRequest(f"A required request parameter '{name}' was not provided, in a form")
    by = actor()
    account = accounts.entrance.log_in(form["username"], form["password"], address=by.address, request_id=by.request_id)
    issued = accounts.logins.issue(account.id, account.email, account.generation)
    return json_answer({"access_token": issued, "token_type": "bearer", "expires_in": int(accounts.logins.seconds)})


@users.post("/users/")
@allow(PUBLIC)
@documented(schemas.User, body=schemas.NewUser, errors=(401, 403, 429))
def create() -> Response:
    """Create an account: one's own where sign-up is open, anybody's for administrators."""
    by = actor()
    administrator = identity and identity.has_role(ADMIN)
    if not administrator:
        if not settings().SIGN_UP:
            if identity:
                raise errors.Forbidden("administrators make accounts here")
            raise errors.Unauthenticated("sign-up is closed (SIGN_UP): ask an administrator for an account")
        most = settings().SIGN_UPS_PER_HOUR
        wait = accounts.rates.take("SIGN_UPS_PER_HOUR", by.address, rate=most / 3600, burst=most)
        if wait:
            raise errors.TooFast(f"more than SIGN_UPS_PER_HOUR = {most} accounts from this address", wait)
    asked = parameters.of_request()
    role = asked.get("role") or "participant"
    if role != "participant" and not administrator:
        raise errors.Forbidden("only administrators give roles")
    account = accounts.directory.create(
        parameters.required(asked, "email"),
        parameters.required(asked, "password"),
        role=role,
        by=by if administrator else None,
    )
    return json_answer(account_rows([account])[0])


@users.get("/users/")
@documented(schemas.User, many=True, errors=OTHERS, query=parameters.PAGE)
def list_all() -> Response:
    """List the accounts that one may see: one's own, or all for administrators."""
    skip, limit = parameters.page()
    if identity.sees_all:
        return json_answer(account_rows(accounts.directory.list(skip=skip, limit=limit)))
    mine = [accounts.directory.find(identity.account_id)]
    return json_answer(account_rows(mine[skip : skip + limit]))


@users.get("/users/me")
@documented(schemas.User, errors=OTHERS)
def me() -> Response:
    """Show one's own account."""
    return json_answer(account_rows([accounts.directory.find(identity.account_id)])[0])


@users.get("/users/<int:user_id>/")
@documented(schemas.User, errors=OTHERS)
@owner_only
def show(user_id: int) -> Response:
    """Show an account."""
    return json_answer(account_rows([accounts.directory.find(user_id)])[0])


@users.patch("/users/<int:user_id>/")
@documented(schemas.User, body=schemas.ChangedUser, errors=(*OTHERS, 409, 429))
@owner_only
def change(user_id: int) -> Response:
    """Change an account. Its owner must give the present password for a new email or password; roles and
    whether it is active are for administrators to say."""
    asked = parameters.of_request()
    role, is_active = asked.get("role"), asked.get("is_active")
    if is_active is not None and not isinstance(is_active, bool):
        raise errors.InvalidRequest("is_active must be true or false")
    if not identity.has_role(ADMIN):
        if role is not None or is_active is not None:
            raise errors.Forbidden("only administrators change roles and disable accounts")
        by, current = actor(), asked.get("current_password")
        if not isinstance(current, str) or not current:
            raise errors.InvalidRequest("A required request parameter 'current_password' was not provided")
        try:
            accounts.entrance.log_in(identity.name, current, address=by.address, request_id=by.request_id)
        except errors.Unauthenticated:
            raise errors.Forbidden("current_password is wrong") from None
    account = accounts.directory.change(
        user_id,
        email=asked.get("email"),
        password=asked.get("password"),
        role=role,
        is_active=is_active,
        by=actor(),
    )
    return json_answer(account_rows([account])[0])


@users.delete("/users/<int:user_id>/")
@documented(status=204, errors=(*OTHERS, 409))
@owner_only
def remove(user_id: int) -> Response:
    """Delete an account, with its keys and projects."""
    accounts.directory.remove(user_id, by=actor())
    return no_content()


@users.post("/users/<int:user_id>/keys/")
@documented(schemas.NewKey, body=schemas.KeyOrder, errors=(*OTHERS, 429))
@owner_only
def create_key(user_id: int) -> Response:
    """Create an API key, which is shown this once."""
    asked = parameters.of_request()
    accounts.directory.find(user_id)
    scopes = asked.get("scopes")
    if scopes is not None and not isinstance(scopes, list):
        raise errors.InvalidRequest("scopes must be a list")
    if any(scope in SCOPES and scope not in identity.scopes for scope in scopes or SCOPES):
        raise errors.Forbidden("a key cannot make one that may do more than itself")
    key, secret = accounts.keys.create(
        user_id, parameters.required(asked, "name"), scopes=scopes, days=asked.get("days"), by=actor()
    )
    return json_answer({**key_row(key), "key": secret})


@users.get("/users/<int:user_id>/keys/")
@documented(schemas.Key, many=True, errors=OTHERS)
@owner_only
def list_keys(user_id: int) -> Response:
    """List an account's API keys."""
    return json_answer([key_row(key) for key in accounts.keys.list(user_id)])


@users.delete("/users/<int:user_id>/keys/<int:key_id>/")
@documented(status=204, errors=OTHERS)
@owner_only
def revoke_key(user_id: int, key_id: int) -> Response:
    """Revoke an API key, at once."""
    accounts.keys.revoke(user_id, key_id, by=actor())
    return no_content()
