"""Params: a request's fields, parsed into the struct that describes them, with error messages for people."""

import re
from collections.abc import Mapping
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, inspect

from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.wire import MAX_SEQ, JSONValue

Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Seq = Annotated[int, Meta(ge=0, le=MAX_SEQ, description="for exactly-once calls: see the stream's page")]
Secret = Annotated[str, Meta(min_length=1, extra={"secret": True})]
"""A string that error messages do not repeat."""

Params = TypeVar("Params", bound=msgspec.Struct)
K = TypeVar("K", bound=inspect.Type)
_PATH = re.compile(r"\.(\w+)|\[(\d+)\]|(\[\.\.\.\])")
_FIELD = re.compile(r"(missing required|unknown) field `(.*)`", re.DOTALL)


def parse(values: Mapping[str, object], kind: type[Params]) -> Params:
    """Parses `values` into a `kind`. Fields that are None count as missing; unknown fields are ignored.

    Raises:
        InvalidRequest: a field is missing or invalid.
    """
    present = {name: value for name, value in values.items() if value is not None}
    try:
        return msgspec.convert(present, kind)
    except msgspec.ValidationError as error:
        raise InvalidRequest(describe_error(error, kind, present)) from error


def describe_error(error: msgspec.ValidationError, kind: object, value: JSONValue) -> str:
    """Says why `value` is not a valid `kind`: names the field, what it must be, and what it is."""
    text, _, path = str(error).partition(" - at `$")
    node, name, is_secret = inspect.type_info(kind), "", False
    for match in _PATH.finditer(path):
        if match[3]:  # a member of an object, which msgspec does not name
            break
        key = match[1] if match[1] is not None else int(match[2])
        node, part = _inside(node, value, key)
        value, is_secret = value[key], _is_secret(node)
        name += part if not name or part[0] == "[" else f".{part}"
    if (field := _FIELD.search(text)) is not None:
        return _of_field(name, field[1], field[2], node)
    if value in ("", []) and " length >= " in text:
        return f"A required request parameter '{name}' was not provided"
    shown = "" if is_secret else f", not {value!r:.50}"
    return f"{name} must be {describe_type(node)}{shown}"


def _of_field(name: str, what: str, field: str, node: inspect.Type) -> str:
    whole = f"{name}.{field[:50]}" if name else field[:50]
    if what == "unknown":
        kind = _alternatives(node, inspect.StructType)[0]
        return f"{whole} is unknown: {name or 'the request'} may have {', '.join(each.name for each in kind.fields)}"
    return f"A required request parameter '{whole}' was not provided"


def _alternatives(node: inspect.Type, kind: type[K]) -> list[K]:
    """The alternatives of a type that are of this kind, without annotations."""
    if isinstance(node, inspect.Metadata):
        return _alternatives(node.type, kind)
    if isinstance(node, inspect.UnionType):
        return [each for one in node.types for each in _alternatives(one, kind)]
    return [node] if isinstance(node, kind) else []


def _inside(node: inspect.Type, value: JSONValue, key: str | int) -> tuple[inspect.Type, str]:
    """Returns the type and the name of a part of `value`."""
    for kind in _alternatives(node, inspect.StructType):
        if kind.array_like and isinstance(key, int) and (kind.tag is None or kind.tag == value[0]):
            field = kind.fields[key - (kind.tag is not None)]
            return field.type, field.name
        if not kind.array_like:
            return next((each.type, each.name) for each in kind.fields if each.encode_name == key)
    for many in _alternatives(node, inspect.ListType):
        return many.item_type, f"[{key}]"
    return inspect.AnyType(), f"[{key}]"


def _is_secret(node: inspect.Type) -> bool:
    if isinstance(node, inspect.UnionType):
        return any(_is_secret(each) for each in node.types)
    return isinstance(node, inspect.Metadata) and ("secret" in (node.extra or {}) or _is_secret(node.type))


def describe_type(node: inspect.Type) -> str:
    """Describes a type in words that follow "must be"."""
    match node:
        case inspect.Metadata():
            return str((node.extra or {}).get("words") or describe_type(node.type))
        case inspect.UnionType():
            return " or ".join(describe_type(each) for each in node.types if not isinstance(each, inspect.NoneType))
        case inspect.IntType() | inspect.FloatType():
            kind = "an integer" if isinstance(node, inspect.IntType) else "a number"
            return kind + _range(node)
        case inspect.StrType() | inspect.ListType():
            kind, parts = ("a string", "characters") if isinstance(node, inspect.StrType) else ("a list", "elements")
            return kind + _length(node, parts)
        case inspect.LiteralType():
            return f"one of {', '.join(map(str, node.values))}"
        case inspect.BoolType():
            return "true or false"
    return "an object"


def _range(node: inspect.IntType | inspect.FloatType) -> str:
    """Describes the range of a number; bounds of integers are inclusive."""
    if node.gt is not None and isinstance(node, inspect.FloatType):
        return f", more than {node.gt:g} and at most {node.le:g}"
    least = node.ge if node.gt is None else node.gt + 1
    most = node.le if node.lt is None else node.lt - 1
    if least is None or most is None:
        return "" if least is None else f" from {_number(least)}"
    return f" from {_number(least)} to {_number(most)}"


def _number(value: float) -> str:
    """Formats a bound; 2**32 - 1 is easier to read than 4294967295."""
    if isinstance(value, int) and value >= 2**31 - 1 and value & (value + 1) == 0:
        return f"2**{value.bit_length()} - 1"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _length(node: inspect.StrType | inspect.ListType, parts: str) -> str:
    if node.max_length is None:
        return ""
    return f" of {node.min_length or 0} to {node.max_length} {parts}"
