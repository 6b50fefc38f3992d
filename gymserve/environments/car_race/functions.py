"""Values of the reward language, floats, bools and lists of floats, and the functions that it has."""

import math
from collections.abc import Callable
from typing import Any

MOST_ELEMENTS = 64  # of a list
MOST_DIGITS = 15  # that a number is rounded to


class Wrong(Exception):
    """What was asked of a value cannot be done."""


def number(value: Any) -> float:
    """Raises: Wrong: it is none."""
    if isinstance(value, list):
        raise Wrong("a list stands where a number is needed")
    return float(value)


def elements(value: Any) -> list[float]:
    """Raises: Wrong: it is no list."""
    if not isinstance(value, list):
        raise Wrong("a number stands where a list is needed")
    return value


def whole(value: Any) -> int:
    """Raises: Wrong: it is no whole number."""
    found = number(value)
    if not found.is_integer() or abs(found) > 2**31:
        raise Wrong(f"{found:g} is no place in a list")
    return int(found)


def _extreme(choose: Callable[[list[float]], float]) -> Callable[..., float]:
    def extreme(*values: Any) -> float:
        found = elements(values[0]) if len(values) == 1 else [number(each) for each in values]
        if not found:
            raise Wrong("there is no least or greatest of nothing")
        return choose(found)

    return extreme


def _round(value: Any, digits: Any = 0.0) -> float:
    places = whole(digits)
    if abs(places) > MOST_DIGITS:
        raise Wrong(f"round takes {-MOST_DIGITS} to {MOST_DIGITS} digits")
    if not math.isfinite(number(value)):
        raise Wrong("what is not finite cannot be rounded")
    return float(round(number(value), places))


FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {  # name → what it does, least and most arguments
    "abs": (lambda value: abs(number(value)), 1, 1),
    "float": (number, 1, 1),
    "int": (lambda value: float(math.trunc(number(value))), 1, 1),
    "len": (lambda value: float(len(elements(value))), 1, 1),
    "max": (_extreme(max), 1, MOST_ELEMENTS),
    "min": (_extreme(min), 1, MOST_ELEMENTS),
    "round": (_round, 1, 2),
    "sum": (lambda value: float(math.fsum(elements(value))), 1, 1),
}
