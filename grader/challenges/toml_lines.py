"""On which line of a TOML text each key stands, which `tomllib` does not tell."""

import re

Path = tuple[str | int, ...]
_PART = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)\s*""")


def lines_of(text: str) -> dict[Path, int]:
    """Path of a key or table (an array's tables by number) → its line, from 1. For text that `tomllib` has read."""
    found: dict[Path, int] = {(): 1}
    counts: dict[Path, int] = {}
    table: Path = ()
    waiting = _Value()
    for number, line in enumerate(text.splitlines(), 1):
        if waiting.open:
            waiting.feed(line)
            continue
        stripped = line.strip()
        if stripped.startswith("[["):
            table = _resolved(_keys(stripped[2:])[0], counts, whole=False)
            counts[table] = counts.get(table, -1) + 1
            table = (*table, counts[table])
            found[table] = number
        elif stripped.startswith("["):
            table = _resolved(_keys(stripped[1:])[0], counts, whole=True)
            found[table] = number
        elif stripped and not stripped.startswith("#"):
            keys, rest = _keys(line)
            for size in range(1, len(keys) + 1):
                found.setdefault((*table, *keys[:size]), number)
            waiting.feed(rest.partition("=")[2])
    return found


def nearest(lines: dict[Path, int], path: Path) -> int:
    """The line of `path`, or of what it stands in."""
    while path not in lines:
        path = path[:-1]
    return lines[path]


def _keys(text: str) -> tuple[tuple[str, ...], str]:
    """(the parts of the dotted key that `text` starts with, the rest)."""
    parts = []
    at = 0
    while (match := _PART.match(text, at)) is not None:
        parts.append(match[1].strip("\"'") if match[1][0] in "\"'" else match[1])
        at = match.end()
        if text[at : at + 1] != ".":
            break
        at += 1
    return tuple(parts), text[at:]


def _resolved(keys: tuple[str, ...], counts: dict[Path, int], *, whole: bool) -> Path:
    """A header's keys with the numbers of the array tables on the way."""
    path: Path = ()
    for index, key in enumerate(keys):
        path = (*path, key)
        if path in counts and (whole or index < len(keys) - 1):
            path = (*path, counts[path])
    return path


class _Value:
    """Whether a value that may stretch over several lines is still open."""

    def __init__(self) -> None:
        self._depth = 0
        self._quote = ""

    @property
    def open(self) -> bool:
        return bool(self._depth or self._quote)

    def feed(self, text: str) -> None:
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
        if len(self._quote) == 1:  # such a string ends on its line
            self._quote = ""
