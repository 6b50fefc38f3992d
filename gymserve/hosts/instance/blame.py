"""Whose call ended an instance's environment: noted in the instance's folder, and read when it is revived.

Nobody is to blame for what the system, an operator or a neighbour ended: then the note is taken away.
"""

import contextlib
import time
from pathlib import Path

_FILE = "blame"


def note(folder: Path) -> None:
    """A call of its own agent ended the environment, just now."""
    with contextlib.suppress(OSError):  # a full disk: it counts as lost by the server
        (folder / _FILE).write_text(repr(time.monotonic()))


def clear(folder: Path) -> None:
    """Somebody else did."""
    with contextlib.suppress(OSError):
        (folder / _FILE).unlink(missing_ok=True)


def taken(folder: Path) -> float | None:
    """When the agent's own call ended it, by the monotonic clock; None: it did not. Asked once."""
    try:
        return min(float((folder / _FILE).read_text()), time.monotonic())
    except (OSError, ValueError):
        return None
    finally:
        clear(folder)
