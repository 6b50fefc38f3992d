"""Readers of other programs' metrics, while the programs are still writing them."""

import base64
import json
import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Line = tuple[int, dict[str, float]]
MEMBER_DEPTH = 2  # brackets around a series' element: the object's and its list's
STORAGES = {b"ctorch\nFloatStorage\n": "f", b"ctorch\nDoubleStorage\n": "d"}  # by their name in the file
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[][{},]', re.DOTALL)


class Series:
    """A JSON file of growing lists, rewritten in place; each value is reported once, and half-written files are allowed."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._reported: dict[str, int] = {}

    def read(self) -> Iterator[Line]:
        for file in self._files():
            try:
                content, complete = whole_part(file.read_bytes().decode("utf-8", "replace"))
            except (OSError, ValueError, RecursionError):
                continue
            if isinstance(content, dict):
                yield from self._new(content, complete)

    def _files(self) -> list[Path]:
        try:
            return sorted(self.folder.rglob(self.name))
        except OSError:  # the program has just removed a folder
            return []

    def _new(self, content: dict[str, Any], complete: bool) -> Iterator[Line]:
        for name, values in content.items():
            timesteps = self._timesteps(name, content, complete)
            if timesteps is None or not isinstance(values, list):
                continue
            known = self._reported.get(name, 0)
            pairs = list(zip(timesteps, values, strict=False))
            for timestep, value in pairs[known:]:
                if (number := self._number(value)) is not None and (step := whole(timestep)) is not None:
                    yield step, {name: number}
            self._reported[name] = max(known, len(pairs))

    def _number(self, value: Any) -> float | None:
        return plain(value)

    def _timesteps(self, name: str, content: dict[str, Any], complete: bool) -> Any:
        raise NotImplementedError


class Sacred(Series):
    """sacred's `info.json`: `{name: [values], name_T: [timesteps]}`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "info.json")

    def _timesteps(self, name: str, content: dict[str, Any], complete: bool) -> Any:
        timesteps = content.get(f"{name}_T")
        return timesteps if isinstance(timesteps, list) else None


class Ptf(Series):
    """PTF's `out.json`: lists parallel to the list `episode`; wins are "True" or "False"."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "out.json")

    def _number(self, value: Any) -> float | None:
        return float(value == "True") if value in ("True", "False") else plain(value)

    def _timesteps(self, name: str, content: dict[str, Any], complete: bool) -> Any:
        episodes = content.get("episode")
        if isinstance(episodes, list):
            return episodes
        return range(2**31) if complete else None  # the missing part may contain the episodes


class JsonLines:
    """`metrics.jsonl`, to which a program appends lines such as `{"timestep": 1, "reward": 2.5}`."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "metrics.jsonl"
        self._read = 0

    def read(self) -> Iterator[Line]:
        try:
            with open(self.file, "rb") as file:
                file.seek(self._read)
                data = file.read()
        except OSError:
            return
        *lines, last = data.split(b"\n")
        for line in lines:
            self._read += len(line) + 1
            yield from self._of(line)
        for values in self._of(last):  # the last line may never get a newline: use it once it is complete
            self._read += len(last)
            yield values

    def _of(self, line: bytes) -> Iterator[Line]:
        try:
            content = json.loads(line)
            step = whole(content.pop("timestep"))
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
            return
        values = {name: number for name, value in content.items() if (number := plain(value)) is not None}
        if step is not None and values:
            yield step, values


READERS = {"sacred": Sacred, "ptf": Ptf, "lines": JsonLines}


def plain(value: Any) -> float | None:
    """Return a number, also from jsonpickle's form of numpy and torch numbers; None if it is not one."""
    if isinstance(value, dict):
        value = value.get("value") if "py/object" in value else _scalar(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _scalar(value: dict[str, Any]) -> float | None:
    """Return the number in a pickled one-element tensor: the last bytes of torch's older file format.

    Nothing is unpickled.
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


def whole(value: Any) -> int | None:
    """Return a number without its fraction; None if it is not a finite number."""
    number = plain(value)
    return int(number) if number is not None and math.isfinite(number) else None


def whole_part(text: str) -> tuple[Any, bool]:
    """Return (content, whether it is complete) of a JSON file whose writer may have been interrupted.

    The content of a truncated file is the outer object with its complete members; the last of them may be a list without its
    last elements. A truncated element (`12` of `12.5`, half an object) is left out.

    Raises:
        ValueError: not even the beginning is JSON.
    """
    try:
        return json.loads(text), True
    except ValueError:
        end, closing = _last_whole(text)
        return json.loads(text[:end] + closing), False


def _last_whole(text: str) -> tuple[int, str]:
    """Return where the last complete member or list element ends (or its list starts), and the brackets open there."""
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
