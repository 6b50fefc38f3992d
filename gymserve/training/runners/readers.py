"""Readers of metrics that other programs are still writing."""

import base64
import json
import math
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from gymserve.protocol.wire import JSONObject, JSONValue

Line = tuple[int, dict[str, float]]
MEMBER_DEPTH = 2  # open brackets around an element of a series: the object's and the list's
STORAGES = {b"ctorch\nFloatStorage\n": "f", b"ctorch\nDoubleStorage\n": "d"}  # struct formats by the name in the file
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[][{},]', re.DOTALL)


class Series:
    """A JSON file of growing lists, rewritten in place; yields each value once, and tolerates half-written files."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._reported: dict[str, int] = {}

    def read(self) -> Iterator[Line]:
        for file in self._files():
            try:
                content, complete = parse_partial(file.read_bytes().decode("utf-8", "replace"))
            except (OSError, ValueError, RecursionError):
                continue
            if isinstance(content, dict):
                yield from self._new(content, complete)

    def _files(self) -> list[Path]:
        try:
            return sorted(self.folder.rglob(self.name))
        except OSError:  # the program has just removed a folder
            return []

    def _new(self, content: dict[str, object], complete: bool) -> Iterator[Line]:
        for name, values in content.items():
            timesteps = self._timesteps(name, content, complete)
            if timesteps is None or not isinstance(values, list):
                continue
            known = self._reported.get(name, 0)
            pairs = list(zip(timesteps, values, strict=False))
            for timestep, value in pairs[known:]:
                if (number := self._number(value)) is not None and (step := to_integer(timestep)) is not None:
                    yield step, {name: number}
            self._reported[name] = max(known, len(pairs))

    def _number(self, value: JSONValue) -> float | None:
        return to_number(value)

    def _timesteps(self, name: str, content: dict[str, object], complete: bool) -> Sequence[JSONValue] | None:
        raise NotImplementedError


class Sacred(Series):
    """sacred's `info.json`: `{name: [values], name_T: [timesteps]}`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "info.json")

    def _timesteps(self, name: str, content: dict[str, object], complete: bool) -> Sequence[JSONValue] | None:
        timesteps = content.get(f"{name}_T")
        return timesteps if isinstance(timesteps, list) else None


class Ptf(Series):
    """PTF's `out.json`: lists parallel to the list `episode`; wins are "True" or "False"."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "out.json")

    def _number(self, value: JSONValue) -> float | None:
        return float(value == "True") if value in ("True", "False") else to_number(value)

    def _timesteps(self, name: str, content: dict[str, object], complete: bool) -> Sequence[JSONValue] | None:
        episodes = content.get("episode")
        if isinstance(episodes, list):
            return episodes
        return range(2**31) if complete else None  # the missing part may contain the episodes


class JsonLines:
    """`metrics.jsonl`, to which a program appends lines such as `{"timestep": 1, "reward": 2.5}`."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "metrics.jsonl"
        self._offset = 0

    def read(self) -> Iterator[Line]:
        try:
            with open(self.file, "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return
        *lines, last = data.split(b"\n")
        for line in lines:
            self._offset += len(line) + 1
            yield from self._parse(line)
        for values in self._parse(last):  # the last line may never get a newline: use it once it is complete
            self._offset += len(last)
            yield values

    def _parse(self, line: bytes) -> Iterator[Line]:
        try:
            content = json.loads(line)
            step = to_integer(content.pop("timestep"))
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
            return
        values = {name: number for name, value in content.items() if (number := to_number(value)) is not None}
        if step is not None and values:
            yield step, values


Reader: TypeAlias = Series | JsonLines
READERS: dict[str, Callable[[Path], Reader]] = {"sacred": Sacred, "ptf": Ptf, "lines": JsonLines}


def to_number(value: object) -> float | None:
    """Return a JSON number, or a numpy or torch number in jsonpickle's form, as a float; None if it is not a number."""
    if isinstance(value, dict):
        value = value.get("value") if "py/object" in value else _scalar(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _scalar(value: JSONObject) -> float | None:
    """Return the number in a pickled one-element tensor, without unpickling it.

    The number is at the end of torch's older file format.
    """
    try:
        function, arguments = value["py/reduce"][:2]
        if function["py/function"] != "torch._utils._rebuild_tensor_v2":
            return None
        data = base64.b64decode(arguments["py/tuple"][0]["py/reduce"][1]["py/tuple"][0]["py/b64"])
        kind = next(each for name, each in STORAGES.items() if name in data)
        count, number = struct.unpack(f"<q{kind}", data[-8 - struct.calcsize(kind) :])
    except (LookupError, TypeError, ValueError, StopIteration, struct.error):
        return None
    return float(number) if count == 1 else None


def to_integer(value: object) -> int | None:
    """Return a number rounded towards zero; None if it is not a finite number."""
    number = to_number(value)
    return int(number) if number is not None and math.isfinite(number) else None


def parse_partial(text: str) -> tuple[object, bool]:
    """Parse a JSON file that may be truncated, and return (content, whether it is complete).

    The content of a truncated file is the outer object with its complete members; the last member may be a list that lacks
    its last elements. A truncated element (`12` of `12.5`, half an object) is left out.

    Raises:
        ValueError: not even the beginning is JSON.
    """
    try:
        return json.loads(text), True
    except ValueError:
        end, closing = _last_complete(text)
        return json.loads(text[:end] + closing), False


def _last_complete(text: str) -> tuple[int, str]:
    """Return where the last complete member or element ends (or its list starts), and the brackets to close there."""
    end, closing, open_brackets = 0, "", ""
    for token in _TOKENS.finditer(text):
        mark = token[0]
        if mark in "{[":
            open_brackets = ("}" if mark == "{" else "]") + open_brackets
        elif mark in "}]":
            open_brackets = open_brackets[1:]
        if mark in ",[]{}" and len(open_brackets) <= MEMBER_DEPTH:
            end, closing = token.end() - (mark == ","), open_brackets
    return end, closing
