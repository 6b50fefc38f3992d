"""Text from outside: what is refused before it is parsed, kept or shown."""

import re
from typing import Any

import numpy as np

from gymserve.protocol.errors import InvalidRequest

MAX_DEPTH = 100
TOO_DEEP = f"it is nested too deeply: at most {MAX_DEPTH} levels"
MAX_NAMES = 200_000  # of all objects together
MAX_LISTS = 1 << 21  # lists and objects: with them, 16 MiB of pictures as JSON
# No database or page can hold half a surrogate pair, some hold no NUL; the others show text in another order than it has.
_UNFIT = re.compile("[\0\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1
_QUOTE = ord('"')
_CHUNK = 1 << 20


def check(text: str) -> None:
    """Refuses characters that cannot be kept everywhere, or that make text look like another.

    Raises:
        InvalidRequest: it holds one; it is named.
    """
    if "\0" not in text and text.isascii():
        return
    if (found := _UNFIT.search(text)) is not None:
        raise InvalidRequest(f"text must not hold the character U+{ord(found[0]):04X}: leave it out")


def check_all(value: Any) -> None:
    """Refuses plain data with text that `check` refuses, or that is nested too deeply.

    Raises:
        InvalidRequest: it is such.
    """
    waiting = [(value, 0)]
    while waiting:
        each, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise InvalidRequest(TOO_DEEP)
        if isinstance(each, str):
            check(each)
        elif isinstance(each, dict):
            waiting += ((part, depth + 1) for pair in each.items() for part in pair)
        elif isinstance(each, list):
            waiting += ((part, depth + 1) for part in each)


def check_size(json: bytes) -> None:
    """Refuses JSON that would take much memory, or a deep stack, for what it says. Its time grows with the length alone.

    Raises:
        InvalidRequest: it is nested too deeply, or has too many names, lists or objects.
    """
    if json.count(b"[") + json.count(b"{") <= MAX_DEPTH and json.count(b":") <= MAX_NAMES:
        return
    if json.count(b":") > MAX_NAMES:  # those in strings as well
        raise InvalidRequest(f"the JSON has more than {MAX_NAMES} names (colons)")
    if json.count(b"[") + json.count(b"{") > MAX_LISTS:
        raise InvalidRequest(f"the JSON has more than {MAX_LISTS} lists and objects")
    if b"\\" in json:
        json = json.replace(b"\\\\", b"").replace(b'\\"', b"")  # now each quote begins or ends a string
    signs = np.frombuffer(json.translate(None, _OTHERS), np.uint8)
    depth = quotes = 0
    for start in range(0, len(signs), _CHUNK):
        chunk = signs[start : start + _CHUNK]
        before = quotes + (chunk == _QUOTE).cumsum(dtype=np.int32)
        levels = depth + np.where(before & 1, 0, _STEPS[chunk]).cumsum(dtype=np.int32)
        if levels.max() > MAX_DEPTH:
            raise InvalidRequest(TOO_DEEP)
        depth, quotes = int(levels[-1]), int(before[-1])
