"""Environment variables of settings: our own, the RL Agent Training API's `RL_API_*`, and a file `.env` with either."""

from collections.abc import Mapping
from pathlib import Path

OURS, OLD = "GYMSERVE_", "RL_API_"
RENAMED = {"SECRET_KEY": "SECRETS"}  # all other old names are ours, but DEBUG


def gathered(environ: Mapping[str, str], file: Path) -> dict[str, str]:
    """Our variables: those of `file`, then the old ones by our names, then our own; the later go first."""
    both = {**_of_file(file), **environ}
    found = {}
    for name, text in both.items():
        if name.startswith(OLD):
            old = name.removeprefix(OLD)
            if old == "DEBUG":
                if text.strip().lower() in ("1", "true", "yes"):
                    found[OURS + "LOG_LEVEL"] = "debug"
            elif old == "LOG_LEVEL":
                found.setdefault(OURS + old, text.lower())
            else:
                found[OURS + RENAMED.get(old, old)] = text
    return found | {name: text for name, text in both.items() if name.startswith(OURS)}


def _of_file(file: Path) -> dict[str, str]:
    """`NAME=value` a line, of our names; values may stand in quotes."""
    if not file.is_file():
        return {}
    found = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        name, separator, text = line.strip().removeprefix("export ").partition("=")
        if separator and name.strip().startswith((OURS, OLD)):
            text = text.strip()
            quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
            found[name.strip()] = text[1:-1] if quoted else text
    return found
