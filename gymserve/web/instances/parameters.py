"""The parameters of v1's requests, as JSON with the quirks of its old clients normalized, or as msgpack."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from flask import request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from gymserve.hosts import calls
from gymserve.hosts.calls import StepCall
from gymserve.protocol import msgpack, params
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.params import Params
from gymserve.web.http import parameters
from gymserve.web.http.answers import JSON, MSGPACK
from gymserve.web.instances.schemas import StepRequest


class Form(NamedTuple):
    """The form of a request and of its response; errors are always JSON.

    Attributes:
        is_packed: whether the request's body is msgpack, with a packed action.
        msgpack: whether the response's body is to be msgpack.
    """

    is_packed: bool
    msgpack: bool

    @property
    def content_type(self) -> str:
        return MSGPACK if self.msgpack else JSON


@lru_cache(64)
def form(content_type: str, accept: str) -> Form:
    """Return the form that these two headers of a request ask for; msgpack is only sent to those who prefer it."""
    is_packed = content_type.partition(";")[0].strip().lower() == MSGPACK
    return Form(is_packed, parse_accept_header(accept, MIMEAccept).best_match((JSON, MSGPACK)) == MSGPACK)


def form_of_request() -> Form:
    """Return the current request's form."""
    return form(request.content_type or "", request.headers.get("Accept", ""))


def parse(kind: type[Params], *, needed: bool = True, allows_msgpack: bool = False) -> Params:
    """Return the current request's parameters as a struct.

    Args:
        needed: whether a body is required; see `parameters.optional_of_request`.
        allows_msgpack: whether the body may be msgpack.

    Raises:
        InvalidRequest: a parameter is missing or invalid.
    """
    if allows_msgpack and form_of_request().is_packed:
        body = parameters.body()
        return params.parse(_read_msgpack(body) if body or needed else {}, kind)
    values = parameters.of_request() if needed else parameters.optional_of_request()
    return params.parse(normalized(values), kind)


def normalized(values: Mapping[str, object]) -> dict[str, object]:
    """Return `values` without the quirks of old clients.

    Drop "" and [], which openai/gym-http-api's server takes as missing, and `render`, which has no effect; turn the
    strings that old Lua clients send for booleans into booleans.
    """
    result = {name: value for name, value in values.items() if value != "" and value != [] and name != "render"}
    for name in ("force", "resume", "video_callable"):
        if isinstance(value := result.get(name), str) and value.lower() in ("true", "false"):
            result[name] = value.lower() == "true"
    if "token" in result:
        result.setdefault("directory", "monitor")  # clients of osim-rl's grader send a key instead
    return result


def _read_msgpack(body: bytes, *, allows_bytes: bool = False) -> dict[str, object]:
    value = msgpack.read(body, allows_bytes=allows_bytes)
    if not isinstance(value, dict):
        raise InvalidRequest(f"{msgpack.INVALID}: a map with parameters is needed")
    return value


def step(body: bytes, content_type: str) -> StepCall:
    """Return the parameters of a step. This is the hot path.

    Raises:
        InvalidRequest: a parameter is missing or invalid.
    """
    call = calls.step_of_json(body) if parameters.is_json(content_type) else None
    if call is not None:
        return call
    if form(content_type, "").is_packed:
        return params.parse(_read_msgpack(body, allows_bytes=True), StepRequest)
    return params.parse(normalized(parameters.read(body, content_type)), StepRequest)
