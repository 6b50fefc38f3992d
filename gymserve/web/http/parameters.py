"""The parameters of a request: a JSON object, read strictly."""

import codecs
import sys
from functools import cached_property, lru_cache
from typing import Any

import flask
import msgspec
from flask import request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from gymserve.protocol import params, text, wire
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.params import Params

PAGE = {"skip": "how many to leave out at the start", "limit": "how many at most, to 1000"}
STRINGS = ("title", "algorithm", "environment")  # parameters of a query that are no JSON
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
NOT_JSON = "Request is not a valid json"


class Request(flask.Request):
    """A request whose query and form hold no text that cannot be kept; `wire.read_json` sees to JSON."""

    @cached_property
    def args(self) -> Any:
        """Raises: InvalidRequest: it holds such text."""
        return _checked(super().args)

    def _load_form_data(self) -> None:
        super()._load_form_data()
        _checked(self.form)


def _checked(fields: Any) -> Any:
    for name, value in fields.items(multi=True):
        text.check(name)
        text.check(value)
    return fields


@lru_cache(64)
def is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def read(body: bytes, content_type: str) -> dict[str, Any]:
    """The object in `body`.

    Raises:
        InvalidRequest: it is not a JSON object, or not announced as JSON.
    """
    if not is_json(content_type):
        raise InvalidRequest(f"{NOT_JSON}: send an object with Content-Type: application/json")
    value = wire.read_json(body.removeprefix(codecs.BOM_UTF8))
    if not isinstance(value, dict):
        raise InvalidRequest(f"{NOT_JSON}: an object with parameters is needed")
    return value


def body() -> bytes:
    """The current request's body, whole.

    Raises:
        RequestEntityTooLarge: it is longer than MAX_BODY_BYTES.
        UnsupportedMediaType: it is compressed.
    """
    if (encoding := request.headers.get("Content-Encoding", "identity")) != "identity":
        raise UnsupportedMediaType(f"Content-Encoding {encoding!r:.50} is not read here: send the body as it is")
    data = request.get_data()
    # Of a body without a length, such as a chunked one, Werkzeug gives the first MAX_CONTENT_LENGTH bytes.
    if request.content_length is None and len(data) >= (request.max_content_length or sys.maxsize):
        raise RequestEntityTooLarge
    return data


def of_request() -> dict[str, Any]:
    """The current request's parameters, where some are needed."""
    return read(body(), request.content_type or "")


def optional_of_request() -> dict[str, Any]:
    """The current request's parameters, where none is needed: old clients send null, "", [], or no JSON at all."""
    data = body()
    if not request.is_json or not data.lstrip().startswith(b"{"):
        return {}
    return read(data, request.content_type or "")


def parse(kind: type[Params], *, needed: bool = True) -> Params:
    """The current request's parameters, as the struct that describes them.

    Args:
        needed: whether there must be any.

    Raises:
        InvalidRequest: one is missing or no good.
    """
    return params.parse(of_request() if needed else optional_of_request(), kind)


def sent(kind: type[Params], *, needed: bool = True) -> dict[str, Any]:
    """The current request's parameters that were sent, checked as by `parse`: for where what is left out has no default here.

    Raises:
        InvalidRequest: one is missing or no good.
    """
    values = of_request() if needed else optional_of_request()
    params.parse(values, kind)
    return {name: value for name, value in values.items() if value is not None}


def parse_form(kind: type[Params]) -> Params:
    """The current request's form, in which what is left empty is missing.

    Raises:
        InvalidRequest: a field is missing or no good.
    """
    if request.mimetype not in FORMS:
        raise InvalidRequest(f"Request is not a form: send one with Content-Type: {FORMS[0]}")
    return params.parse({name: value for name, value in request.form.items() if value}, kind)


def parse_texts(kind: type[Params]) -> Params:
    """The current request's form and query, where the body is a file: strings as they are, all else as JSON.

    Raises:
        InvalidRequest: a field is missing or no good.
    """
    texts = request.form.to_dict() | request.args.to_dict()
    names = [field.name for field in msgspec.structs.fields(kind) if field.name in texts]
    return params.parse({name: texts[name] if name in STRINGS else _of_json(name, texts[name]) for name in names}, kind)


def _of_json(name: str, given: str) -> Any:
    try:
        return wire.read_json(given.encode())
    except InvalidRequest as error:
        raise InvalidRequest(f"{name} must be JSON, not {given!r:.50}") from error


def page() -> tuple[int, int]:
    """(skip, limit) of the current request's query.

    Raises:
        InvalidRequest: one is no number, or out of range.
    """
    return of_query("skip", 0, 0, 2**31) or 0, of_query("limit", 100, 1, 1000) or 0


def of_query(name: str, default: int | None, least: int, most: int) -> int | None:
    """A number of the current request's query.

    Raises:
        InvalidRequest: it is none, or out of range.
    """
    given = request.args.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdecimal() and len(given) <= 19 and least <= int(given) <= most):
        raise InvalidRequest(f"{name} must be an integer from {least} to {most}, not {given!r:.50}")
    return int(given)
