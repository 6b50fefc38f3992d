"""The parameters of a request: a JSON object, read strictly."""

import sys
from functools import lru_cache
from typing import Any

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from gymserve import wire
from gymserve.errors import InvalidRequest

PAGE = {"skip": "how many to leave out at the start", "limit": "how many at most, to 1000"}
STRINGS = ("title", "algorithm", "environment")  # parameters of a query that are no JSON
NOT_JSON = "Request is not a valid json"


@lru_cache(64)
def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def parse(body: bytes, content_type: str) -> dict[str, Any]:
    """The object in `body`.

    Raises:
        InvalidRequest: it is not a JSON object, or not announced as JSON.
    """
    if not _is_json(content_type):
        raise InvalidRequest(f"{NOT_JSON}: send an object with Content-Type: application/json")
    value = wire.read_json(body)
    if not isinstance(value, dict):
        raise InvalidRequest(f"{NOT_JSON}: an object with parameters is needed")
    return value


def required(parameters: dict[str, Any], name: str) -> Any:
    """A parameter that must be there; null, "" and [] do not count.

    Raises:
        InvalidRequest: it is missing.
    """
    value = parameters.get(name)
    if value is None or value == "" or value == []:
        raise InvalidRequest(f"A required request parameter '{name}' was not provided")
    return value


def boolean(parameters: dict[str, Any], name: str) -> bool:
    """An optional boolean; old Lua clients send "true" and "false" as strings."""
    value = parameters.get(name) or False
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name} must be true or false, not {value!r:.50}")
    return value


def body() -> bytes:
    """The current request's body, whole.

    Raises:
        RequestEntityTooLarge: it is longer than MAX_BODY_BYTES.
    """
    data = request.get_data()
    # Of a body without a length, such as a chunked one, Werkzeug gives the first MAX_CONTENT_LENGTH bytes.
    if request.content_length is None and len(data) >= (request.max_content_length or sys.maxsize):
        raise RequestEntityTooLarge
    return data


def of_request() -> dict[str, Any]:
    """The current request's parameters, where some are needed."""
    return parse(body(), request.content_type or "")


def optional_of_request() -> dict[str, Any]:
    """The current request's parameters, where none is needed: old clients send null, "", [], or no JSON at all."""
    data = body()
    if not request.is_json or not data.lstrip().startswith(b"{"):
        return {}
    return parse(data, request.content_type or "")


def of_text(name: str, text: str) -> Any:
    """A parameter of a query or a form: JSON, for what is no string.

    Raises:
        InvalidRequest: it is none.
    """
    if name in STRINGS:
        return text
    try:
        return wire.read_json(text.encode())
    except InvalidRequest as error:
        raise InvalidRequest(f"{name} must be JSON, not {text!r:.50}") from error


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
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and least <= int(text) <= most):
        raise InvalidRequest(f"{name} must be an integer from {least} to {most}, not {text!r:.50}")
    return int(text)
