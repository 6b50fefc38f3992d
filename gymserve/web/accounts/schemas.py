"""What requests and answers about accounts hold, as the API's description tells it."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from gymserve.accounts.keys import KeyOrder as KeyOrder
from gymserve.protocol.params import Secret
from gymserve.store.models import ROLES
from gymserve.web.training.schemas import Project

Email = Annotated[str, Meta(min_length=1, max_length=254, description="an email, or any other name")]
Role = Literal[ROLES]  # type: ignore[valid-type]


class Login(Struct):
    """What the OAuth2 password flow sends. What is empty counts as left out."""

    username: Annotated[str, Meta(min_length=1, description="the account's email")]
    password: Secret
    grant_type: Literal["password"] = "password"
    scope: str = ""
    client_id: str = ""
    client_secret: str = ""


class Token(Struct):
    access_token: Annotated[str, Meta(description="to be sent as Authorization: Bearer")]
    token_type: str
    expires_in: Annotated[int, Meta(description="seconds")]


class NewTicket(Struct):
    path: Annotated[str, Meta(description="of the stream, such as /experiments/{id}/metrics/stream")]


class Ticket(Struct):
    ticket: Annotated[str, Meta(description="to be sent once, as `ticket` in the stream's query")]
    expires_in: Annotated[int, Meta(description="seconds")]


class NewUser(Struct):
    email: Email
    password: Secret
    role: Annotated[Role, Meta(description="any but participant: given by administrators only")] = "participant"


class ChangedUser(Struct):
    email: Email | None = None
    name: Annotated[str | None, Meta(description='which others see, of at most 60 characters; "": none')] = None
    password: Secret | None = None
    current_password: Annotated[Secret | None, Meta(description="of the owner, who changes the account")] = None
    role: Role | None = None
    is_active: bool | None = None


class User(Struct):
    email: str
    name: Annotated[str, Meta(description="which others see")]
    id: int
    is_active: bool
    role: str
    created_at: str
    projects: list[Project]


class Key(Struct):
    id: int
    name: str
    hint: Annotated[str, Meta(description="how the key begins")]
    scopes: list[str] | None
    created_at: str
    expires_at: str | None


class NewKey(Key):
    key: Annotated[str, Meta(description="the key, shown this once")] = ""
