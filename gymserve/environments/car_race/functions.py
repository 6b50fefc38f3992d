"""Values and functions of the reward language; a value is a float, a bool or a list of floats."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

Term: TypeAlias = Any
"""A value of the language."""

MOST_ELEMENTS = 64  # of a list
MOST_DIGITS = 15  # of `round`


class RewardError(Exception):
    """An operation is not possible with these values."""


def number(value: Term) -> float:
    """The value as a number.

    Raises:
        RewardError: it is a list.
    """
    if isinstance(value, list):
        raise RewardError("a list is used where a number is needed")
    return float(value)


def elements(value: object) -> list[float]:
    """The value as a list.

    Raises:
        RewardError: it is not a list.
    """
    if not isinstance(value, list):
        raise RewardError("a number is used where a list is needed")
    return value


def whole(value: object) -> int:
    """The value as an integer, to index a list with.

    Raises:
        RewardError: it is not a whole number.
    """
    as_float = number(value)
    if not as_float.is_integer() or abs(as_float) > 2**31:
        raise RewardError(f"{as_float:g} is not an index of a list")
    return int(as_float)


def _extreme(choose: Callable[[list[float]], float]) -> Callable[..., float]:
    def extreme(*values: object) -> float:
        numbers = elements(values[0]) if len(values) == 1 else [number(each) for each in values]
        if not numbers:
            raise RewardError("min and max need at least one number")
        return choose(numbers)

    return extreme


def _round(value: object, digits: object = 0.0) -> float:
    places = whole(digits)
    if abs(places) > MOST_DIGITS:
        raise RewardError(f"round takes {-MOST_DIGITS} to {MOST_DIGITS} digits")
    if not math.isfinite(number(value)):
        raise RewardError("only finite numbers can be rounded")
    return float(round(number(value), places))


FUNCTIONS: dict[str, tuple[Callable[..., object], int, int]] = {  # name → function, least and most arguments
    "abs": (lambda value: abs(number(value)), 1, 1),
    "float": (number, 1, 1),
    "int": (lambda value: float(math.trunc(number(value))), 1, 1),
    "len": (lambda value: float(len(elements(value))), 1, 1),
    "max": (_extreme(max), 1, MOST_ELEMENTS),
    "min": (_extreme(min), 1, MOST_ELEMENTS),
    "round": (_round, 1, 2),
    "sum": (lambda value: float(math.fsum(elements(value))), 1, 1),
}
