"""The line numbers of keys in a TOML text, which `tomllib` does not report."""

import re

KeyPath = tuple[str | int, ...]
_PART = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)\s*""")


def lines_of(text: str) -> dict[KeyPath, int]:
    """Path of a key or table → its line, from 1. Tables of an array have their indices in the path.

    The text must be valid TOML.
    """
    lines: dict[KeyPath, int] = {(): 1}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    value = _Value()
    for number, line in enumerate(text.splitlines(), 1):
        if value.open:
            value.feed(line)
            continue
        stripped = line.strip()
        if stripped.startswith("[["):
            table = _resolve(_keys(stripped[2:])[0], counts, whole=False)
            counts[table] = counts.get(table, -1) + 1
            table = (*table, counts[table])
            lines[table] = number
        elif stripped.startswith("["):
            table = _resolve(_keys(stripped[1:])[0], counts, whole=True)
            lines[table] = number
        elif stripped and not stripped.startswith("#"):
            keys, rest = _keys(line)
            for size in range(1, len(keys) + 1):
                lines.setdefault((*table, *keys[:size]), number)
            value.feed(rest.partition("=")[2])
    return lines


def nearest(lines: dict[KeyPath, int], path: KeyPath) -> int:
    """The line of `path`, or of the innermost known table around it."""
    while path not in lines:
        path = path[:-1]
    return lines[path]


def _keys(text: str) -> tuple[tuple[str, ...], str]:
    """The parts of the dotted key at the start of `text`, and the rest of the text."""
    parts = []
    at = 0
    while (match := _PART.match(text, at)) is not None:
        parts.append(match[1].strip("\"'") if match[1][0] in "\"'" else match[1])
        at = match.end()
        if text[at : at + 1] != ".":
            break
        at += 1
    return tuple(parts), text[at:]


def _resolve(keys: tuple[str, ...], counts: dict[KeyPath, int], *, whole: bool) -> KeyPath:
    """The path of a header's keys, with the indices of array tables."""
    path: KeyPath = ()
    for index, key in enumerate(keys):
        path = (*path, key)
        if path in counts and (whole or index < len(keys) - 1):
            path = (*path, counts[path])
    return path


class _Value:
    """Tracks whether a value continues on the next line."""

    def __init__(self) -> None:
        self._depth = 0
        self._quote = ""

    @property
    def open(self) -> bool:
        """Whether the value continues."""
        return bool(self._depth or self._quote)

    def feed(self, text: str) -> None:
        """Reads the value's text on one line."""
        at = 0
        while at < len(text):
            character = text[at]
            if self._quote:
                if character == "\\" and self._quote[0] == '"':
                    at += 1
                elif text.startswith(self._quote, at):
                    at += len(self._quote) - 1
                    self._quote = ""
            elif character in "\"'":
                self._quote = character * 3 if text.startswith(character * 3, at) else character
                at += len(self._quote) - 1
            elif character == "#":
                return
            else:
                self._depth += (character in "[{") - (character in "]}")
            at += 1
        if len(self._quote) == 1:  # a simple string ends on its line
            self._quote = ""
