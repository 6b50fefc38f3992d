"""Loads a server's settings from all their sources, and checks them."""

import difflib
import json
import re
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gymserve.protocol.errors import SettingsError
from gymserve.settings import old_grader, variables
from gymserve.settings.table import CHOICES, FIELDS, SECRET, URLS, Settings

PREFIX = "GYMSERVE_"
NOT_SETTINGS = {"SETTINGS", "SERVER", "TOKEN", "ARBITER"}  # variables of the loader, the client and gunicorn's workers
_KINDS = {
    str: "a string", int: "an integer", float: "a number", bool: "True or False", list: "a list of strings",
    dict: "a dictionary",
}  # fmt: skip


def load(file: str | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> Settings:
    """Loads the settings from all their sources.

    Args:
        file: the organiser's file; None: $GYMSERVE_SETTINGS, or else `localsettings.py` if it exists.
        overrides: settings from the command line.

    Raises:
        SettingsError: a file is broken, a name is unknown, or a value is out of its range.
    """
    values: dict[str, Any] = {}
    path = Path(file or environ.get(PREFIX + "SETTINGS") or "localsettings.py")
    if path.exists() or file or PREFIX + "SETTINGS" in environ:
        from_file, notes = old_grader.translate(_from_file(path), str(path))
        values |= {name: _check_value(name, value, str(path)) for name, value in from_file.items()}
        _print_notes(notes)
    from_environment, notes = old_grader.from_environment(dict(environ))
    values |= {name: _check_value(name, value, "the environment") for name, value in from_environment.items()}
    _print_notes(notes)
    collected, notes = variables.collect(environ, Path(".env"))
    _print_notes(notes)
    for variable, (text, original) in collected.items():
        name = variable.removeprefix(PREFIX)
        if variable.startswith(PREFIX) and name not in NOT_SETTINGS:
            values[name] = _check_value(name, _parse(name, text, original), f"the environment variable {original}")
    values |= {name: _check_value(name, value, "the command line") for name, value in overrides.items()}
    if values.get("LOG_DIR"):  # the server's processes have other working directories
        values["LOG_DIR"] = str(Path(values["LOG_DIR"]).absolute())
    return Settings(**values)


def _print_notes(notes: list[str]) -> None:
    for note in notes:
        print(note, file=sys.stderr)


def _from_file(path: Path) -> dict[str, object]:
    try:
        names = runpy.run_path(str(path))
    except SyntaxError as error:
        raise SettingsError(f"{path}, line {error.lineno}: {error.msg}") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:
        trace, line = error.__traceback__, 0
        while trace is not None:
            line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == str(path) else line
            trace = trace.tb_next
        raise SettingsError(f"{path}, line {line}: {type(error).__name__}: {error}") from error
    return {name: value for name, value in names.items() if name.isupper() and not name.startswith("_")}


def _check_name(name: str, source: str) -> None:
    if name not in FIELDS:
        near = difflib.get_close_matches(name, FIELDS, 1, 0.5)
        raise SettingsError(f"{source}: there is no setting {name}" + (f"; did you mean {near[0]}?" if near else ""))


def _parse(name: str, text: str, source: str) -> object:
    """Parses the text of an environment variable."""
    _check_name(name, source)
    kind = _kind(name)
    if kind is str:
        return text
    if kind is list and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return json.loads(text.lower() if kind is bool else text)
    except ValueError:
        return text  # `_check_value` refuses its type


def _kind(name: str) -> type:
    default = getattr(Settings(), name)
    return type(default)


def _check_value(name: str, value: Any, source: str) -> object:
    """The value with the type of its setting; refuses one with another type, or out of its range."""
    _check_name(name, source)
    kind, limits = _kind(name), FIELDS[name].metadata
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind and not (kind is list and isinstance(value, tuple)):
        shown = "another kind of value" if name in SECRET else repr(value)
        raise SettingsError(f"{source}: {name} must be {_KINDS[kind]}, not {shown}")
    if kind in (int, float) and not limits["least"] <= value <= limits["most"]:
        raise SettingsError(f"{source}: {name} must be from {limits['least']:g} to {limits['most']:g}, not {value!r}")
    if name == "ENVIRONMENT_VARIABLES" and isinstance(value, dict):
        _check_variables(value, source)
    if name in URLS and value and not re.match(r"https?://[^/\s]", value):
        raise SettingsError(f"{source}: {name} must begin with http:// or https:// and name a host, not {value!r:.200}")
    if value not in CHOICES.get(name, (value,)):
        *others, last = CHOICES[name]
        raise SettingsError(f"{source}: {name} must be {', '.join(others)} or {last}, not {value!r}")
    return list(value) if isinstance(value, tuple) else value


def _check_variables(value: Mapping[object, object], source: str) -> None:
    for name, text in value.items():
        if not isinstance(name, str) or not name.isidentifier() or not isinstance(text, str) or "\0" in text:
            raise SettingsError(f"{source}: ENVIRONMENT_VARIABLES must map names to strings, not {name!r} to {text!r}")
        if name.startswith(PREFIX) or name == "PYTHONPATH":
            raise SettingsError(f"{source}: {name} is for the server itself: remove it from ENVIRONMENT_VARIABLES")
