"""Checks of single values; an error names the parameter."""

from typing import Annotated

from msgspec import Meta

from gymserve.protocol.errors import InvalidRequest

Title = Annotated[str, Meta(min_length=1, max_length=200)]
Description = Annotated[str, Meta(max_length=10_000)]


def integer(name: str, value: object, least: int, most: int) -> int:
    """Return `value` if it is an integer from `least` to `most`.

    Raises:
        InvalidRequest: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidRequest(f"{name} must be an integer from {least} to {most}, not {value!r:.50}")
    return value


def number(name: str, value: object, least: float, most: float) -> float:
    """Return `value` as a float if it is a number from `least` to `most`.

    Raises:
        InvalidRequest: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise InvalidRequest(f"{name} must be a number from {least:g} to {most:g}, not {value!r:.50}")
    return float(value)
