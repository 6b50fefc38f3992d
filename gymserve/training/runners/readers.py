"""How the metrics of programs that are not ours are read, while they are being written."""

import base64
import json
import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Line = tuple[int, dict[str, float]]
MEMBER_DEPTH = 2  # brackets around an element of a series: those of the object and of its list
STORAGES = {b"ctorch\nFloatStorage\n": "f", b"ctorch\nDoubleStorage\n": "d"}  # by the name in the file
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[][{},]', re.DOTALL)


class Series:
    """A JSON file of lists that grow, rewritten in place: of half a file its whole values count, and each is told once."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._told: dict[str, int] = {}

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
            known = self._told.get(name, 0)
            pairs = list(zip(timesteps, values, strict=False))
            for timestep, value in pairs[known:]:
                if (number := self._number(value)) is not None and (step := whole(timestep)) is not None:
                    yield step, {name: number}
            self._told[name] = max(known, len(pairs))

    def _number(self, value: Any) -> float | None:
        return plain(value)

    def _timesteps(self, name: str, content: dict[str, Any], complete: bool) -> Any:
        raise NotImplementedError


class Sacred(Series):
    """sacred's `info.json`: `{name: [values], name_T: [timesteps]}`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "info.json")

    def _timesteps(self, name: str, content: dict[str, Any], complete: bool) -> Any:
        found = content.get(f"{name}_T")
        return found if isinstance(found, list) else None


class Ptf(Series):
    """PTF's `out.json`: lists over the list `episode`, which is one of them; what was won is "True" or "False" there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "out.json")

    def _number(self, value: Any) -> float | None:
        return float(value == "True") if value in ("True", "False") else plain(value)

    def _timesteps(self, name: str, content: dict[str, Any], complete: bool) -> Any:
        episodes = content.get("episode")
        if isinstance(episodes, list):
            return episodes
        return range(2**31) if complete else None  # a list of episodes may stand in the part that is missing


class Lines:
    """`metrics.jsonl`, which a program appends to: `{"timestep": 1, "reward": 2.5}` a line."""

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
        for values in self._of(last):  # a last line without its end counts when it is whole: no more of it may come
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


READERS = {"sacred": Sacred, "ptf": Ptf, "lines": Lines}


def plain(value: Any) -> float | None:
    """A number, also as jsonpickle writes those of numpy and torch; None if it is not a number."""
    if isinstance(value, dict):
        value = value.get("value") if "py/object" in value else _scalar(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _scalar(value: dict[str, Any]) -> float | None:
    """The number in a tensor of one element, which jsonpickle has pickled: the last bytes of torch's older file format.

    Nothing of it is unpickled.
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
    """A number without its fraction; None if it is not a finite number."""
    number = plain(value)
    return int(number) if number is not None and math.isfinite(number) else None


def whole_part(text: str) -> tuple[Any, bool]:
    """The content, and whether that is all, of a JSON file whose writer may have been stopped in the middle.

    Of a file that is cut, this is the outer object with its whole members, the last of which may be a list that lacks its
    last elements. An element that is cut itself (`12` of `12.5`, half an object) is left out.

    Raises:
        ValueError: not even the beginning is JSON.
    """
    try:
        return json.loads(text), True
    except ValueError:
        end, closing = _last_whole(text)
        return json.loads(text[:end] + closing), False


def _last_whole(text: str) -> tuple[int, str]:
    """Where the last whole member or element of a list ends (or its list begins), and the brackets that are open there."""
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
