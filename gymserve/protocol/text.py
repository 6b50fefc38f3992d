"""Checks of text from outside, before it is parsed, stored or shown."""

import re

import numpy as np

from gymserve.protocol.errors import InvalidRequest

MAX_DEPTH = 100
TOO_DEEP = f"it is nested too deeply: at most {MAX_DEPTH} levels"
MAX_NAMES = 200_000  # in all objects together
MAX_LISTS = 1 << 21  # lists and objects; 16 MiB of pictures as JSON need this many
# Lone surrogates cannot be stored or sent, and NUL not everywhere; the others change the order in which text is shown.
_UNFIT = re.compile("[\0\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1
_QUOTE = ord('"')
_CHUNK = 1 << 20


def check(text: str) -> None:
    """Refuses characters that cannot be stored everywhere, or that make text look different.

    Raises:
        InvalidRequest: the text has such a character, which the message names.
    """
    if "\0" not in text and text.isascii():
        return
    if (match := _UNFIT.search(text)) is not None:
        raise InvalidRequest(f"text must not hold the character U+{ord(match[0]):04X}: leave it out")


def check_all(value: object) -> None:
    """Refuses plain data with text that `check` refuses, or that is nested too deeply.

    Raises:
        InvalidRequest: the data has such text, or is nested too deeply.
    """
    pending = [(value, 0)]
    while pending:
        each, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise InvalidRequest(TOO_DEEP)
        if isinstance(each, str):
            check(each)
        elif isinstance(each, dict):
            pending += ((part, depth + 1) for pair in each.items() for part in pair)
        elif isinstance(each, list):
            pending += ((part, depth + 1) for part in each)


def members(pairs: list[tuple[str, object]], form: str = "JSON") -> dict[str, object]:
    """Returns an object's members as a dictionary.

    Raises:
        InvalidRequest: a name occurs twice, which the message says of `form`.
    """
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        # `add` returns None, so the condition remembers each name and is true for the first that comes twice.
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InvalidRequest(f"the {form} names {twice[:50]!r} twice")
    return result


def check_size(json: bytes) -> None:
    """Refuses JSON whose parsing would need much memory or a deep stack. It takes time in proportion to the length.

    Raises:
        InvalidRequest: the JSON is nested too deeply, or has too many names, lists or objects.
    """
    if json.count(b"[") + json.count(b"{") <= MAX_DEPTH and json.count(b":") <= MAX_NAMES:
        return
    if json.count(b":") > MAX_NAMES:  # counts colons in strings too
        raise InvalidRequest(f"the JSON has more than {MAX_NAMES} names (colons)")
    if json.count(b"[") + json.count(b"{") > MAX_LISTS:
        raise InvalidRequest(f"the JSON has more than {MAX_LISTS} lists and objects")
    if b"\\" in json:
        json = json.replace(b"\\\\", b"").replace(b'\\"', b"")  # without escapes, each quote begins or ends a string
    signs = np.frombuffer(json.translate(None, _OTHERS), np.uint8)
    depth = quotes = 0
    for start in range(0, len(signs), _CHUNK):
        chunk = signs[start : start + _CHUNK]
        before = quotes + (chunk == _QUOTE).cumsum(dtype=np.int32)
        levels = depth + np.where(before & 1, 0, _STEPS[chunk]).cumsum(dtype=np.int32)
        if levels.max() > MAX_DEPTH:
            raise InvalidRequest(TOO_DEEP)
        depth, quotes = int(levels[-1]), int(before[-1])
