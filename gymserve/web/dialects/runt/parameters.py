"""The parameters of RUNT's requests, from JSON and from forms, and its texts about those that are no good."""

import math
import re
from typing import Any

from flask import request

from gymserve.protocol import wire
from gymserve.protocol.errors import InvalidRequest
from gymserve.web.http import parameters

_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
PAGE = {"page": "from 1 on; the last one, where it is beyond that", "page_size": "entries of a page, to 10000"}
MOST_PAGE = 10_000


def of_request() -> dict[str, Any]:
    """The current request's parameters: a JSON object's members, or a form's fields as texts.

    Raises:
        InvalidRequest: it is neither.
    """
    if (request.mimetype or "").endswith(("x-www-form-urlencoded", "form-data")):
        return request.form.to_dict()
    return parameters.of_request()


def required(asked: dict[str, Any], name: str) -> Any:
    """Raises: InvalidRequest: there is none, or an empty one."""
    if asked.get(name) is None or asked[name] in ("", [], {}):
        raise InvalidRequest(f"{name}参数不能为空 (a required parameter '{name}' was not provided)")
    return asked[name]


def integer(asked: dict[str, Any], name: str) -> int | None:
    """Raises: InvalidRequest: it is none."""
    value = asked.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest(f"{name}必须为整数 (must be an integer, not {value!r:.50})")
    return value


def number(asked: dict[str, Any], name: str) -> float | None:
    """Raises: InvalidRequest: it is none, or not finite."""
    value = asked.get(name)
    if value is None or value == "":
        return None
    if (found := as_number(value)) is None:
        raise InvalidRequest(f"数值参数格式错误: {name} (must be a number, not {value!r:.50})")
    return found


def as_number(value: Any) -> float | None:
    """`value` as a finite number; None: it is none."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def numbers(asked: dict[str, Any], name: str) -> list[float]:
    """A list of numbers, in a form as JSON text.

    Raises:
        InvalidRequest: it is none, or one of them is no finite number.
    """
    value = plain(asked, name)
    if not isinstance(value, list):
        raise InvalidRequest(f"{name}必须是浮点数数组 (must be a list of numbers)")
    found = [as_number(each) for each in value]
    if None in found:
        where = found.index(None)
        raise InvalidRequest(f"{name}数组中的元素必须是有效的数值 (its element {where} is {value[where]!r:.50})")
    return [each for each in found if each is not None]


def plain(asked: dict[str, Any], name: str) -> Any:
    """What a form holds as JSON text, a list or an object, or what JSON holds as it is.

    Raises:
        InvalidRequest: there is none, or the text is no JSON.
    """
    value = required(asked, name)
    try:
        return wire.read_json(value) if isinstance(value, str) else value
    except InvalidRequest as error:
        raise InvalidRequest(f"{name}必须是JSON ({name} must be JSON: {error})") from error


def page(default: int) -> tuple[int, int]:
    """(page, page_size) of the current request's query.

    Raises:
        InvalidRequest: one is no number, or out of range.
    """
    first, size = parameters.of_query("page", 1, 1, 2**31), parameters.of_query("page_size", default, 1, MOST_PAGE)
    return first or 1, size or default


def paged(total: int, first: int, size: int) -> dict[str, int]:
    """What an answer says of its page: the last one there is, where it would be beyond."""
    pages = max(1, math.ceil(total / size))
    return {"total": total, "page": min(first, pages), "page_size": size, "total_pages": pages}
