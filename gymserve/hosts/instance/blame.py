"""Blame: a note in an instance's folder that its agent's own call ended its environment. Revival reads it.

The note is removed when the system, an operator or another instance ended the host.
"""

import contextlib
import time
from pathlib import Path

_FILE = "blame"


def note(folder: Path) -> None:
    """Notes that a call of the agent has just ended the environment."""
    with contextlib.suppress(OSError):  # if the disk is full, the trial counts as lost by the server
        (folder / _FILE).write_text(repr(time.monotonic()))


def clear(folder: Path) -> None:
    """Removes the note, if there is one."""
    with contextlib.suppress(OSError):
        (folder / _FILE).unlink(missing_ok=True)


def pop(folder: Path) -> float | None:
    """Removes the note and returns its monotonic time, or None if there is no note."""
    try:
        return min(float((folder / _FILE).read_text()), time.monotonic())
    except (OSError, ValueError):
        return None
    finally:
        clear(folder)
