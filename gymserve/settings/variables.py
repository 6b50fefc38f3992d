"""Collects settings from environment variables and a file `.env`: our own names, and the RL Agent Training API's `RL_API_*`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

OURS, OLD = "GYMSERVE_", "RL_API_"
RENAMED = {"SECRET_KEY": "SECRETS"}  # all other old names equal ours, except DEBUG
WITHOUT_EFFECT = {  # old name → why it has no effect
    "RELOAD": "the server never reloads its code by itself: restart it",
    "LOG_FORMAT": "logs are plain text on standard error and JSON in LOG_DIR",
}
_VALUE = re.compile(r"""(?P<quote>["'])(?P<quoted>.*?)(?P=quote)\s*(?:\#.*)?|(?P<bare>.*?)\s*(?:(?:^|\s)\#.*)?""")


class Variable(NamedTuple):
    """A variable's text, and its original name."""

    text: str
    original: str


def collect(environ: Mapping[str, str], file: Path) -> tuple[dict[str, Variable], list[str]]:
    """(variables by our names, notes for the user).

    The environment overrides `file`, and our names override the old ones.
    """
    both = {**_read_file(file), **environ}
    collected, notes = {}, []
    for name, text in both.items():
        if name.startswith(OLD):
            old = name.removeprefix(OLD)
            if old == "DEBUG":
                if text.strip().lower() in ("1", "true", "yes"):
                    collected[OURS + "LOG_LEVEL"] = Variable("debug", name)
            elif old == "LOG_LEVEL":
                collected.setdefault(OURS + old, Variable(text.lower(), name))
            elif old in WITHOUT_EFFECT:
                notes.append(f"{name} has no effect: {WITHOUT_EFFECT[old]}")
            else:
                collected[OURS + RENAMED.get(old, old)] = Variable(text, name)
    return collected | {name: Variable(text, name) for name, text in both.items() if name.startswith(OURS)}, notes


def _read_file(file: Path) -> dict[str, str]:
    """Reads lines `NAME=value` with settings' names; a value may be quoted, and a comment may follow it."""
    if not file.is_file():
        return {}
    values = {}
    for line in file.read_text(encoding="utf-8-sig").splitlines():
        name, separator, text = line.strip().removeprefix("export ").partition("=")
        if separator and name.strip().startswith((OURS, OLD)):
            match = _VALUE.fullmatch(text.strip())
            assert match is not None  # any text is a bare value
            values[name.strip()] = match["quoted"] if match["quote"] else match["bare"]
    return values
