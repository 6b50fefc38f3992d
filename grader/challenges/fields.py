"""Takes the members of a challenge's tables out by name, and says where one is off: file, line and path."""

import difflib
import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from grader.challenges.toml_lines import Path, nearest
from gymserve.protocol.errors import InvalidRequest

_NO_DEFAULT: Any = object()


class InvalidChallenge(InvalidRequest):
    """A challenge's definition is off; the text names the place and the way out."""


class Source:
    """Where a definition came from: a file with lines, or something without (a request, a bundle)."""

    def __init__(self, name: str, lines: dict[Path, int] | None = None) -> None:
        self.name, self._lines = name, lines

    def wrong(self, path: Path, text: str) -> InvalidChallenge:
        place = self.name if self._lines is None else f"{self.name}, line {nearest(self._lines, path)}"
        dotted = ".".join(str(part + 1) if isinstance(part, int) else part for part in path)
        return InvalidChallenge(f"{place}: {dotted}: {text}" if dotted else f"{place}: {text}")


class Fields:
    """One table: each member is taken once; `end` refuses what nobody took.

    Every method raises InvalidChallenge where the member is missing or not what it must be.
    """

    def __init__(self, data: Any, source: Source, path: Path = ()) -> None:
        if not isinstance(data, dict):
            raise source.wrong(path, f"must be a table, not {data!r:.50}")
        self._left = dict(data)
        self._known: list[str] = []
        self.source, self.path = source, path

    def wrong(self, name: str, text: str) -> InvalidChallenge:
        return self.source.wrong((*self.path, name), text)

    def _taken(self, name: str, default: Any) -> Any:
        self._known.append(name)
        if (value := self._left.pop(name, None)) is not None:
            return value
        if default is _NO_DEFAULT:
            raise self.source.wrong(self.path, f"{name} is missing")
        return default

    def _checked(self, name: str, default: Any, right: Callable[[Any], bool], wanted: str) -> Any:
        value = self._taken(name, default)
        if value is not default and not right(value):
            raise self.wrong(name, f"must be {wanted}, not {value!r:.50}")
        return value

    def text(self, name: str, default: Any = _NO_DEFAULT, *, pattern: str = r"[\s\S]*", wanted: str = "a text") -> str:
        def right(value: Any) -> bool:
            return isinstance(value, str) and re.fullmatch(pattern, value) is not None

        return str(self._checked(name, default, right, wanted))

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        return str(self._checked(name, default, lambda value: value in choices, f"one of {', '.join(choices)}"))

    def flag(self, name: str, default: bool) -> bool:
        return bool(self._checked(name, default, lambda value: isinstance(value, bool), "true or false"))

    def integer(self, name: str, default: Any, *, least: int = 0, most: int = 2**31 - 1) -> Any:
        def right(value: Any) -> bool:
            return type(value) is int and least <= value <= most

        return self._checked(name, default, right, f"an integer from {least} to {most}")

    def number(self, name: str, default: Any, *, least: float = -math.inf) -> Any:
        def right(value: Any) -> bool:
            return type(value) in (int, float) and math.isfinite(value) and value >= least

        wanted = "a finite number" if least == -math.inf else f"a number of {least:g} or more"
        value = self._checked(name, default, right, wanted)
        return float(value) if type(value) is int else value

    def number_or(self, name: str, word: str, default: float | str) -> float | str:
        if self._left.get(name) == word:
            return str(self._taken(name, word))
        value: float | str = self.number(name, default)
        return value

    def moment(self, name: str, *, whole_day: bool = False) -> datetime | None:
        """A date, or a date with a time; UTC where no offset is given.

        Args:
            whole_day: a date without a time means that day's end, not its beginning.
        """
        value = self._taken(name, None)
        try:
            return None if value is None else _moment(value, whole_day)
        except (ValueError, TypeError, OverflowError):
            raise self.wrong(name, f"must be a date such as 2030-01-31T12:00:00Z, not {value!r:.50}") from None

    def plain(self, name: str) -> dict[str, Any]:
        """A table of plain data, as it is."""
        value = self._checked(name, {}, lambda value: isinstance(value, dict), "a table")
        if (path := _not_plain(value)) is not None:
            raise self.wrong(name, f"{path} must be a number, text, truth value, list or table")
        return dict(value)

    def table(self, name: str) -> "Fields":
        return Fields(self._taken(name, {}), self.source, (*self.path, name))

    def tables(self, name: str) -> list["Fields"]:
        value = self._checked(name, [], lambda value: isinstance(value, list), f"tables: write [[{name}]]")
        return [Fields(each, self.source, (*self.path, name, index)) for index, each in enumerate(value)]

    def end(self) -> None:
        """Refuses members that have no meaning."""
        for name in self._left:
            near = difflib.get_close_matches(name, self._known, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(self._known)}"
            raise self.wrong(name, f"has no meaning here; {hint}")


def _moment(value: Any, whole_day: bool) -> datetime:
    if isinstance(value, str):
        value = date.fromisoformat(value) if len(value) == len("2030-01-31") else datetime.fromisoformat(value)
    if not isinstance(value, date):
        raise TypeError
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC) + timedelta(days=whole_day)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _not_plain(value: Any, path: str = "") -> str | None:
    """Where something stands that is no plain data; None: nowhere."""
    if isinstance(value, dict):
        found = (_not_plain(each, f"{path}.{name}" if path else name) for name, each in value.items())
        return next((each for each in found if each is not None), None)
    if isinstance(value, list):
        found = (_not_plain(each, f"{path}[{index}]") for index, each in enumerate(value))
        return next((each for each in found if each is not None), None)
    if isinstance(value, float) and not math.isfinite(value):
        return path
    return None if isinstance(value, (str, int, float, bool)) or value is None else path
