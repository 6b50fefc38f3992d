"""The parameters of a request: a strictly parsed JSON object, form or query."""

import codecs
import sys
from functools import cached_property, lru_cache
from typing import TypeVar

import flask
import msgspec
from flask import request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from gymserve.protocol import params, text, wire
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.params import Params

Default = TypeVar("Default", bound=int | None)
PAGE = {"skip": "how many entries to skip", "limit": "how many entries to return at most, up to 1000"}
STRINGS = ("title", "algorithm", "environment")  # query parameters that are not JSON
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
NOT_JSON = "Request is not a valid json"


class StrictRequest(flask.Request):
    """A request whose query and form contain only text that can be stored; `wire.read_json` checks JSON."""

    @cached_property
    def args(self) -> MultiDict[str, str]:
        """The query's parameters.

        Raises:
            InvalidRequest: one contains text that cannot be stored.
        """
        return _checked(super().args)

    def _load_form_data(self) -> None:
        super()._load_form_data()
        _checked(self.form)


def _checked(fields: MultiDict[str, str]) -> MultiDict[str, str]:
    for name, value in fields.items(multi=True):
        text.check(name)
        text.check(value)
    return fields


@lru_cache(64)
def is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def read(body: bytes, content_type: str) -> dict[str, object]:
    """Parse the JSON object in `body`.

    Raises:
        InvalidRequest: the body is not a JSON object, or its content type is not JSON.
    """
    if not is_json(content_type):
        raise InvalidRequest(f"{NOT_JSON}: send an object with Content-Type: application/json")
    value = wire.read_json(body.removeprefix(codecs.BOM_UTF8))
    if not isinstance(value, dict):
        raise InvalidRequest(f"{NOT_JSON}: an object with parameters is needed")
    return value


def body() -> bytes:
    """Return the current request's whole body.

    Raises:
        RequestEntityTooLarge: the body is longer than its limit.
        UnsupportedMediaType: the body is compressed.
    """
    if (encoding := request.headers.get("Content-Encoding", "identity")) != "identity":
        raise UnsupportedMediaType(f"Content-Encoding {encoding!r:.50} is not supported: send the body uncompressed")
    data = request.get_data()
    # Werkzeug truncates a body without a length, such as a chunked one, at `max_content_length`.
    if request.content_length is None and len(data) >= (request.max_content_length or sys.maxsize):
        raise RequestEntityTooLarge
    return data


def of_request() -> dict[str, object]:
    """Return the current request's parameters, for views that need some."""
    return read(body(), request.content_type or "")


def optional_of_request() -> dict[str, object]:
    """Return the current request's parameters, if any: old clients send null, "", [] or no JSON at all for none."""
    data = body()
    if not request.is_json or not data.lstrip().startswith(b"{"):
        return {}
    return read(data, request.content_type or "")


def parse(kind: type[Params], *, needed: bool = True) -> Params:
    """Return the current request's parameters as a struct.

    Args:
        needed: whether a body is required.

    Raises:
        InvalidRequest: a parameter is missing or invalid.
    """
    return params.parse(of_request() if needed else optional_of_request(), kind)


def parse_partial(kind: type[Params], *, needed: bool = True) -> dict[str, object]:
    """Return the parameters that the current request contains, checked against `kind`, without adding defaults.

    Raises:
        InvalidRequest: a parameter is missing or invalid.
    """
    values = of_request() if needed else optional_of_request()
    params.parse(values, kind)
    return {name: value for name, value in values.items() if value is not None}


def parse_form(kind: type[Params]) -> Params:
    """Return the current request's form as a struct; empty fields count as missing.

    Raises:
        InvalidRequest: a field is missing or invalid.
    """
    if request.mimetype not in FORMS:
        raise InvalidRequest(f"Request is not a form: send one with Content-Type: {FORMS[0]}")
    return params.parse({name: value for name, value in request.form.items() if value}, kind)


def parse_texts(kind: type[Params]) -> Params:
    """Return the form and query of a file upload as a struct; values are JSON, apart from those named in STRINGS.

    Raises:
        InvalidRequest: a field is missing or invalid.
    """
    texts = request.form.to_dict() | request.args.to_dict()
    names = [field.name for field in msgspec.structs.fields(kind) if field.name in texts]
    values = {name: texts[name] if name in STRINGS else _parse_json(name, texts[name]) for name in names}
    return params.parse(values, kind)


def _parse_json(name: str, value: str) -> object:
    try:
        return wire.read_json(value.encode())
    except InvalidRequest as error:
        raise InvalidRequest(f"{name} must be JSON, not {value!r:.50}") from error


def page() -> tuple[int, int]:
    """Return (skip, limit) from the current request's query.

    Raises:
        InvalidRequest: one is not an integer, or out of range.
    """
    return of_query("skip", 0, 0, 2**31) or 0, of_query("limit", 100, 1, 1000) or 0


def choice(name: str, *choices: str) -> str:
    """Return one of `choices` from the current request's query, by default the first.

    Raises:
        InvalidRequest: the value is not among them.
    """
    value = request.args.get(name, choices[0])
    if value not in choices:
        raise InvalidRequest(f"{name} must be {' or '.join(choices)}, not {value!r:.50}")
    return value


def of_query(name: str, default: Default, least: int, most: int) -> int | Default:
    """Return an integer from the current request's query.

    Raises:
        InvalidRequest: it is not an integer, or out of range.
    """
    value = request.args.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdecimal() and len(value) <= 19 and least <= int(value) <= most):
        raise InvalidRequest(f"{name} must be an integer from {least} to {most}, not {value!r:.50}")
    return int(value)
