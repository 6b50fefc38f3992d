"""The parameters of RUNT's requests, from JSON and from forms, and RUNT's messages about invalid ones."""

import math
import re
from collections.abc import Mapping

from flask import request

from gymserve.protocol import wire
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.wire import JSONObject
from gymserve.web.http import parameters

_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
PAGE = {"page": "the page, from 1; beyond the last page, the last one", "page_size": "entries per page, up to 10000"}
MOST_PAGE_SIZE = 10_000


def of_request() -> JSONObject:
    """Return the current request's parameters: a JSON object's members, or a form's fields as strings.

    Raises:
        InvalidRequest: the body is neither.
    """
    if (request.mimetype or "").endswith(("x-www-form-urlencoded", "form-data")):
        return request.form.to_dict()
    return parameters.of_request()


def required(payload: Mapping[str, object], name: str) -> object:
    """Return a required parameter.

    Raises:
        InvalidRequest: it is missing or empty.
    """
    if payload.get(name) is None or payload[name] in ("", [], {}):
        raise InvalidRequest(f"{name}参数不能为空 (a required parameter '{name}' was not provided)")
    return payload[name]


def integer(payload: Mapping[str, object], name: str) -> int | None:
    """Return an optional integer, or None if it is missing.

    Raises:
        InvalidRequest: it is not an integer.
    """
    value = payload.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest(f"{name}必须为整数 (must be an integer, not {value!r:.50})")
    return value


def number(payload: dict[str, object], name: str) -> float | None:
    """Return an optional number, or None if it is missing.

    Raises:
        InvalidRequest: it is not a finite number.
    """
    value = payload.get(name)
    if value is None or value == "":
        return None
    if (parsed := as_number(value)) is None:
        raise InvalidRequest(f"数值参数格式错误: {name} (must be a number, not {value!r:.50})")
    return parsed


def as_number(value: object) -> float | None:
    """Return `value` as a float, or None if it is not a finite number."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def numbers(payload: JSONObject, name: str) -> list[float]:
    """Return a list of numbers, which a form contains as JSON.

    Raises:
        InvalidRequest: it is missing or not a list, or an element is not a finite number.
    """
    value = decoded(payload, name)
    if not isinstance(value, list):
        raise InvalidRequest(f"{name}必须是浮点数数组 (must be a list of numbers)")
    elements = [as_number(each) for each in value]
    if None in elements:
        index = elements.index(None)
        raise InvalidRequest(f"{name}数组中的元素必须是有效的数值 (its element {index} is {value[index]!r:.50})")
    return [each for each in elements if each is not None]


def decoded(payload: Mapping[str, object], name: str) -> object:
    """Return a list or an object, which a form contains as JSON.

    Raises:
        InvalidRequest: it is missing, or not valid JSON.
    """
    value = required(payload, name)
    try:
        return wire.read_json(value) if isinstance(value, str) else value
    except InvalidRequest as error:
        raise InvalidRequest(f"{name}必须是JSON ({name} must be JSON: {error})") from error


def page(default: int) -> tuple[int, int]:
    """Return (page, page_size) from the current request's query.

    Raises:
        InvalidRequest: one is not an integer, or out of range.
    """
    number = parameters.of_query("page", 1, 1, 2**31)
    size = parameters.of_query("page_size", default, 1, MOST_PAGE_SIZE)
    return number or 1, size or default


def paged(total: int, number: int, size: int) -> dict[str, int]:
    """Return what a response says about its page; beyond the last page, it is the last one."""
    pages = max(1, math.ceil(total / size))
    return {"total": total, "page": min(number, pages), "page_size": size, "total_pages": pages}
