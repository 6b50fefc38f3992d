"""Reads the fields of a challenge's tables, and reports invalid ones with file, line and path."""

import difflib
import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

from gymserve.grader.challenges.toml_lines import KeyPath, nearest
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.wire import JSONObject

D = TypeVar("D")
_NO_DEFAULT: object = object()


class InvalidChallenge(InvalidRequest):
    """A challenge's definition is invalid. The message names the place and what is expected there."""


class Source:
    """The origin of a definition: a file with lines, or something without lines (a request, a bundle)."""

    def __init__(self, name: str, lines: dict[KeyPath, int] | None = None) -> None:
        self.name, self._lines = name, lines

    def wrong(self, path: KeyPath, text: str) -> InvalidChallenge:
        """The error for an invalid value at a path."""
        place = self.name if self._lines is None else f"{self.name}, line {nearest(self._lines, path)}"
        dotted = ".".join(str(part + 1) if isinstance(part, int) else part for part in path)
        return InvalidChallenge(f"{place}: {dotted}: {text}" if dotted else f"{place}: {text}")


class Fields:
    """The fields of one table. Each method reads one field, and `end` refuses fields that were not read.

    Every method raises InvalidChallenge if its field is missing or invalid.
    """

    def __init__(self, data: object, source: Source, path: KeyPath = ()) -> None:
        if not isinstance(data, dict):
            raise source.wrong(path, f"must be a table, not {data!r:.50}")
        self._left = dict(data)
        self._known: list[str] = []
        self.source, self.path = source, path

    def wrong(self, name: str, text: str) -> InvalidChallenge:
        """The error for an invalid field."""
        return self.source.wrong((*self.path, name), text)

    def _pop(self, name: str, default: object) -> object:
        self._known.append(name)
        if (value := self._left.pop(name, None)) is not None:
            return value
        if default is _NO_DEFAULT:
            raise self.source.wrong(self.path, f"{name} is missing")
        return default

    # Any: of the type that `is_valid` accepts.
    def _get(self, name: str, default: object, is_valid: Callable[[Any], bool], wanted: str) -> Any:
        value = self._pop(name, default)
        if value is not default and not is_valid(value):
            raise self.wrong(name, f"must be {wanted}, not {value!r:.50}")
        return value

    def text(
        self, name: str, default: object = _NO_DEFAULT, *, pattern: str = r"[\s\S]*", wanted: str = "a text"
    ) -> str:
        """A text that matches a pattern."""

        def is_valid(value: object) -> bool:
            return isinstance(value, str) and re.fullmatch(pattern, value) is not None

        return str(self._get(name, default, is_valid, wanted))

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """One of several texts."""
        return str(self._get(name, default, lambda value: value in choices, f"one of {', '.join(choices)}"))

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        return bool(self._get(name, default, lambda value: isinstance(value, bool), "true or false"))

    def integer(self, name: str, default: D, *, least: int = 0, most: int = 2**31 - 1) -> int | D:
        """An integer in a range, or the default."""

        def is_valid(value: object) -> bool:
            return type(value) is int and least <= value <= most

        value: int | D = self._get(name, default, is_valid, f"an integer from {least} to {most}")
        return value

    def number(self, name: str, default: D, *, least: float = -math.inf) -> float | D:
        """A finite number as a float, or the default."""

        def is_valid(value: float) -> bool:
            return type(value) in (int, float) and math.isfinite(value) and value >= least

        wanted = "a finite number" if least == -math.inf else f"a number of {least:g} or more"
        value: float | D = self._get(name, default, is_valid, wanted)
        return float(value) if type(value) is int else value

    def number_or(self, name: str, word: str, default: float | str) -> float | str:
        """A finite number, or one word."""
        if self._left.get(name) == word:
            return str(self._pop(name, word))
        value: float | str = self.number(name, default)
        return value

    def moment(self, name: str, *, whole_day: bool = False) -> datetime | None:
        """A date, or a date with a time, which is in UTC unless it has an offset.

        Args:
            whole_day: whether a date without a time means the end of that day instead of its beginning.
        """
        value = self._pop(name, None)
        try:
            return None if value is None else _moment(value, whole_day)
        except (ValueError, TypeError, OverflowError):
            raise self.wrong(name, f"must be a date such as 2030-01-31T12:00:00Z, not {value!r:.50}") from None

    def plain(self, name: str) -> JSONObject:
        """A table of any plain data."""
        value = self._get(name, {}, lambda value: isinstance(value, dict), "a table")
        if (path := _not_plain(value)) is not None:
            raise self.wrong(name, f"{path} must be a number, text, boolean, list or table")
        return dict(value)

    def table(self, name: str) -> "Fields":
        """The fields of a table, which is empty by default."""
        return Fields(self._pop(name, {}), self.source, (*self.path, name))

    def tables(self, name: str) -> list["Fields"]:
        """The fields of each table in an array of tables."""
        value = self._get(name, [], lambda value: isinstance(value, list), f"tables: write [[{name}]]")
        return [Fields(each, self.source, (*self.path, name, index)) for index, each in enumerate(value)]

    def end(self) -> None:
        """Refuses fields that were not read."""
        for name in self._left:
            near = difflib.get_close_matches(name, self._known, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"known fields are {', '.join(self._known)}"
            raise self.wrong(name, f"has no meaning here; {hint}")


def _moment(value: object, whole_day: bool) -> datetime:
    if isinstance(value, str):
        value = date.fromisoformat(value) if len(value) == len("2030-01-31") else datetime.fromisoformat(value)
    if not isinstance(value, date):
        raise TypeError
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC) + timedelta(days=whole_day)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _not_plain(value: object, path: str = "") -> str | None:
    """The path of the first value that is not plain data, or None."""
    if isinstance(value, dict):
        paths = (_not_plain(each, f"{path}.{name}" if path else name) for name, each in value.items())
        return next((each for each in paths if each is not None), None)
    if isinstance(value, list):
        paths = (_not_plain(each, f"{path}[{index}]") for index, each in enumerate(value))
        return next((each for each in paths if each is not None), None)
    if isinstance(value, float) and not math.isfinite(value):
        return path
    return None if isinstance(value, (str, int, float, bool)) or value is None else path
