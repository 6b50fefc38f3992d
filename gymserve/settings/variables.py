"""Environment variables of settings: our own, the RL Agent Training API's `RL_API_*`, and a file `.env` with either."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

OURS, OLD = "GYMSERVE_", "RL_API_"
RENAMED = {"SECRET_KEY": "SECRETS"}  # all other old names are ours, but DEBUG
WITHOUT_EFFECT = {  # old names, and why they say nothing here
    "RELOAD": "the server never reloads its code by itself: start it again",
    "LOG_FORMAT": "logs are plain on the screen and JSON in LOG_DIR",
}
_VALUE = re.compile(r"""(?P<quote>["'])(?P<quoted>.*?)(?P=quote)\s*(?:\#.*)?|(?P<bare>.*?)\s*(?:(?:^|\s)\#.*)?""")


class Variable(NamedTuple):
    """A variable's text, and the name that it was given by."""

    text: str
    given: str


def gathered(environ: Mapping[str, str], file: Path) -> tuple[dict[str, Variable], list[str]]:
    """(Our variables by our names, what is to be told of others): those of `file`, then the old ones, then our own; the later
    go first."""
    both = {**_of_file(file), **environ}
    found, notes = {}, []
    for name, text in both.items():
        if name.startswith(OLD):
            old = name.removeprefix(OLD)
            if old == "DEBUG":
                if text.strip().lower() in ("1", "true", "yes"):
                    found[OURS + "LOG_LEVEL"] = Variable("debug", name)
            elif old == "LOG_LEVEL":
                found.setdefault(OURS + old, Variable(text.lower(), name))
            elif old in WITHOUT_EFFECT:
                notes.append(f"{name} has no effect: {WITHOUT_EFFECT[old]}")
            else:
                found[OURS + RENAMED.get(old, old)] = Variable(text, name)
    return found | {name: Variable(text, name) for name, text in both.items() if name.startswith(OURS)}, notes


def _of_file(file: Path) -> dict[str, str]:
    """`NAME=value` a line, of our names; values may stand in quotes, with a comment behind them."""
    if not file.is_file():
        return {}
    found = {}
    for line in file.read_text(encoding="utf-8-sig").splitlines():
        name, separator, text = line.strip().removeprefix("export ").partition("=")
        if separator and name.strip().startswith((OURS, OLD)):
            match = _VALUE.fullmatch(text.strip())
            assert match is not None  # any text is a bare value
            found[name.strip()] = match["quoted"] if match["quote"] else match["bare"]
    return found
