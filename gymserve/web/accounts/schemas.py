"""Schemas of requests and responses about accounts, for the API description."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from gymserve.accounts.keys import KeyRequest as KeyRequest
from gymserve.protocol.params import Secret
from gymserve.store.models import ROLES
from gymserve.web.training.schemas import ProjectCard

Email = Annotated[str, Meta(min_length=1, max_length=254, description="an email, or any other name")]
Role = Literal[ROLES]  # type: ignore[valid-type]  # the roles are only known at run time


class LoginForm(Struct):
    """The form of the OAuth2 password flow. Empty fields count as missing."""

    username: Annotated[str, Meta(min_length=1, description="the account's email")]
    password: Secret
    grant_type: Literal["password"] = "password"
    scope: str = ""
    client_id: str = ""
    client_secret: str = ""


class AccessToken(Struct):
    access_token: Annotated[str, Meta(description="the token to send as Authorization: Bearer")]
    token_type: str
    expires_in: Annotated[int, Meta(description="seconds")]


class NewTicket(Struct):
    path: Annotated[str, Meta(description="the stream's path, e.g. /experiments/{id}/metrics/stream")]


class Ticket(Struct):
    ticket: Annotated[str, Meta(description="the ticket to send once, as `ticket` in the stream's query")]
    expires_in: Annotated[int, Meta(description="seconds")]


class NewUser(Struct):
    email: Email
    password: Secret
    role: Annotated[Role, Meta(description="only administrators may create other roles")] = "participant"


class ChangedUser(Struct):
    email: Email | None = None
    name: Annotated[str | None, Meta(description='the public name, of at most 60 characters; "" removes it')] = None
    password: Secret | None = None
    current_password: Annotated[Secret | None, Meta(description="the password of the owner who makes the change")] = (
        None
    )
    role: Role | None = None
    is_active: bool | None = None


class User(Struct):
    email: str
    name: Annotated[str, Meta(description="the public name")]
    id: int
    is_active: bool
    role: str
    created_at: str
    projects: list[ProjectCard]


class KeyCard(Struct):
    id: int
    name: str
    hint: Annotated[str, Meta(description="the beginning of the key")]
    scopes: list[str] | None
    created_at: str
    expires_at: str | None


class NewKey(KeyCard):
    key: Annotated[str, Meta(description="the key, which is shown only once")] = ""
