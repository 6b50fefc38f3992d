"""Collects settings from environment variables and a file `.env`: our own names, and the RL Agent Training API's `RL_API_*`."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gymserve.protocol.errors import SettingsError

OURS, OLD = "GYMSERVE_", "RL_API_"
RENAMED = {"SECRET_KEY": "SECRETS"}  # all other old names equal ours, except DEBUG
WITHOUT_EFFECT = {  # old name → why it has no effect
    "RELOAD": "the server never reloads its code by itself: restart it",
    "LOG_FORMAT": "logs are plain text on standard error and JSON in LOG_DIR",
}


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
    """Reads a file in python-dotenv's syntax, without its `${NAME}`: a secret may contain any characters.

    Raises:
        SettingsError: python-dotenv is not installed, the file cannot be read, or a line is not `NAME=value`.
    """
    if not file.is_file():
        return {}
    try:  # a client's `gymserve --version` comes here, too
        from dotenv.parser import parse_stream  # `dotenv_values` skips wrong lines
    except ImportError as error:
        raise SettingsError(f"reading {file} needs gymserve[server]: pip install 'gymserve[server]'") from error
    try:
        content = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{file} cannot be read: {reason}") from error
    values = {}
    for each in parse_stream(io.StringIO(content)):
        if each.error:
            text = each.original.string
            line = each.original.line + text[: -len(text.lstrip())].count("\n")
            raise SettingsError(f"{file}, line {line}: this is not NAME=value, or a quote does not end")
        if each.key is not None and each.value is not None:
            values[each.key] = each.value
    return values
