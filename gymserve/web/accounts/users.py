"""Views of accounts and API keys: `/token` and `/users/…`, as the TJU platform's clients call them."""

from flask import Response
from msgspec.structs import asdict

from gymserve.accounts.identity import SCOPES
from gymserve.protocol import errors
from gymserve.store.models import Account, ApiKey
from gymserve.web.accounts import schemas
from gymserve.web.http import parameters
from gymserve.web.http.access import ADMIN, PUBLIC, actor, allow, caller, identity, owner_only
from gymserve.web.http.answers import json_answer, no_content
from gymserve.web.http.backend import backend, training
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.errors import with_detail
from gymserve.web.http.openapi import documented
from gymserve.web.training.projects import project_rows

blueprint = Blueprint("users", scope="account", tag="Accounts", on_error=with_detail)
OTHERS = (401, 403)


def account_rows(accounts: list[Account]) -> list[schemas.User]:
    """Return accounts as the API shows them."""
    projects_by_account = training().projects.of_all([account.id for account in accounts])
    rows = project_rows([project for projects in projects_by_account.values() for project in projects])
    return [
        schemas.User(
            email=account.email,
            name=account.display_name,
            id=account.id,
            is_active=account.is_active,
            role=account.role,
            created_at=account.created_at.isoformat(),
            projects=[row for row in rows if row.owner_id == account.id],
        )
        for account in accounts
    ]


def key_row(key: ApiKey) -> schemas.KeyCard:
    return schemas.KeyCard(
        id=key.id,
        name=key.name,
        hint=key.hint,
        scopes=key.scopes.split(",") if key.scopes else None,
        created_at=key.created_at.isoformat(),
        expires_at=None if key.expires_at is None else key.expires_at.isoformat(),
    )


@blueprint.post("/token")
@allow(PUBLIC)
@documented(schemas.AccessToken, body=schemas.LoginForm, accepts=parameters.FORMS[:1], errors=(401, 429))
def token() -> Response:
    """Log in with a password (OAuth2 password flow)."""
    params, by = parameters.parse_form(schemas.LoginForm), actor()
    account = backend().accounts.authenticator.log_in(
        params.username, params.password, address=by.address, request_id=by.request_id
    )
    access_token = backend().accounts.logins.issue(account.id, account.email, account.generation)
    return json_answer(schemas.AccessToken(access_token, "bearer", int(backend().accounts.logins.seconds)))


def check_sign_up(address: str) -> None:
    """Check whether a visitor at an address may create an account, and count it.

    Raises:
        Unauthenticated: sign-up is closed.
        TooFast: this address has created too many accounts.
    """
    if not backend().settings.SIGN_UP:
        raise errors.Unauthenticated("sign-up is closed (SIGN_UP): ask an administrator for an account")
    limit = backend().settings.SIGN_UPS_PER_HOUR
    if wait := backend().accounts.rates.acquire("SIGN_UPS_PER_HOUR", address, rate=limit / 3600, burst=limit):
        raise errors.TooFast(f"more than SIGN_UPS_PER_HOUR = {limit} accounts from this address", wait)


@blueprint.post("/users/")
@allow(PUBLIC)
@documented(schemas.User, body=schemas.NewUser, errors=(401, 403, 429))
def create() -> Response:
    """Create an account: your own if sign-up is open, or anybody's as an administrator."""
    by = actor()
    who = caller()
    administrator = who is not None and who.has_role(ADMIN)
    if not administrator:
        if who is not None and not backend().settings.SIGN_UP:
            raise errors.Forbidden("only administrators create accounts here")
        check_sign_up(by.address)
    params = parameters.parse(schemas.NewUser)
    if params.role != "participant" and not administrator:
        raise errors.Forbidden("only administrators assign roles")
    account = backend().accounts.directory.create(
        params.email, params.password, role=params.role, by=by if administrator else None
    )
    return json_answer(account_rows([account])[0])


@blueprint.get("/users/")
@documented(list[schemas.User], errors=OTHERS, query=parameters.PAGE)
def list_all() -> Response:
    """List the accounts that you may see: your own, or all as an administrator."""
    skip, limit = parameters.page()
    if identity().sees_all:
        return json_answer(account_rows(backend().accounts.directory.list(skip=skip, limit=limit)))
    own = [backend().accounts.directory.find(identity().account_id)]
    return json_answer(account_rows(own[skip : skip + limit]))


@blueprint.get("/users/me")
@documented(schemas.User, errors=OTHERS)
def me() -> Response:
    """Show your account."""
    return json_answer(account_rows([backend().accounts.directory.find(identity().account_id)])[0])


@blueprint.get("/users/<int:user_id>/")
@documented(schemas.User, errors=OTHERS)
@owner_only
def show(user_id: int) -> Response:
    """Show an account."""
    return json_answer(account_rows([backend().accounts.directory.find(user_id)])[0])


@blueprint.patch("/users/<int:user_id>/")
@documented(schemas.User, body=schemas.ChangedUser, errors=(*OTHERS, 409, 429))
@owner_only
def change(user_id: int) -> Response:
    """Change an account's name, email, password, role or active state.

    Owners need their current password to change the email or the password. Only administrators change the role and the
    active state.
    """
    params = parameters.parse(schemas.ChangedUser)
    if not identity().has_role(ADMIN) and (params.role is not None or params.is_active is not None):
        raise errors.Forbidden("only administrators change roles and disable accounts")
    if not identity().has_role(ADMIN) and (params.email is not None or params.password is not None):
        by, current = actor(), params.current_password
        if current is None:
            raise errors.InvalidRequest("A required request parameter 'current_password' was not provided")
        try:
            backend().accounts.authenticator.log_in(
                identity().name, current, address=by.address, request_id=by.request_id
            )
        except errors.Unauthenticated:
            raise errors.Forbidden("current_password is wrong") from None
    account = backend().accounts.directory.change(
        user_id,
        email=params.email,
        name=params.name,
        password=params.password,
        role=params.role,
        is_active=params.is_active,
        by=actor(),
    )
    return json_answer(account_rows([account])[0])


@blueprint.delete("/users/<int:user_id>/")
@documented(status=204, errors=(*OTHERS, 409))
@owner_only
def remove(user_id: int) -> Response:
    """Delete an account, with its keys and projects."""
    backend().accounts.directory.remove(user_id, by=actor())
    return no_content()


@blueprint.post("/users/<int:user_id>/keys/")
@documented(schemas.NewKey, body=schemas.KeyRequest, errors=(*OTHERS, 429))
@owner_only
def create_key(user_id: int) -> Response:
    """Create an API key, which is shown only once."""
    params = parameters.parse(schemas.KeyRequest)
    backend().accounts.directory.find(user_id)
    if not identity().scopes.issuperset(params.scopes or SCOPES):
        raise errors.Forbidden("a key cannot create one with more scopes than its own")
    key, secret = backend().accounts.keys.create(user_id, params, by=actor())
    return json_answer(schemas.NewKey(**asdict(key_row(key)), key=secret))


@blueprint.get("/users/<int:user_id>/keys/")
@documented(list[schemas.KeyCard], errors=OTHERS)
@owner_only
def list_keys(user_id: int) -> Response:
    """List an account's API keys."""
    return json_answer([key_row(key) for key in backend().accounts.keys.list(user_id)])


@blueprint.delete("/users/<int:user_id>/keys/<int:key_id>/")
@documented(status=204, errors=OTHERS)
@owner_only
def revoke_key(user_id: int, key_id: int) -> Response:
    """Revoke an API key, effective immediately."""
    backend().accounts.keys.revoke(user_id, key_id, by=actor())
    return no_content()
