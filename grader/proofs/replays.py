"""Replays in processes of their own: `python -m grader.proofs.replays` makes one.

A replay in the process that recorded a journal, or in one that has lived through others, proves little. Each begins with a
fresh interpreter, made as hosts are (`gymserve/system/interpreters.py`), whose process id, memory addresses and
moment are others.
"""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from grader.challenges.states import VerdictState
from grader.proofs import verification
from grader.proofs.sources import SHIFT_SECONDS, Sources
from grader.proofs.verification import Verdict
from gymserve.environments import Catalogue
from gymserve.hosts.supervisor.forking import die_with
from gymserve.journal.file import scan
from gymserve.system import interpreters
from gymserve.system.background import ATTEMPTS

DIRECTORY, TIME = "directory", "time"
UNKNOWN = "none that is known: the order of a set of objects (memory addresses), datetime.now and C code are not seen"


def verify(journal: Path, modules: Iterable[str], *, tolerance: float = 0.0) -> Verdict:
    """Replays a graded instance's journal; where it comes out differently, again in another process.

    Args:
        modules: those that register environments.
        tolerance: see `verification.verify`.
    """
    first = _replayed(journal, modules, tolerance)
    if first.state == VerdictState.VERIFIED:
        return first
    return _compared(first, _replayed(journal, modules, tolerance, watch=True))


def check(journal: Path, modules: Iterable[str], *, tolerance: float = 0.0) -> tuple[Verdict, str]:
    """Replays a journal that was just recorded in another directory and at another time of day.

    Returns:
        The verdict, and a warning, or "".
    """
    elsewhere = _replayed(journal, modules, tolerance, vary=(DIRECTORY, TIME), watch=True)
    if elsewhere.state == VerdictState.VERIFIED:
        return elsewhere, ""
    here = _replayed(journal, modules, tolerance, watch=True)
    if here.state != VerdictState.VERIFIED:
        return _compared(elsewhere, here), ""
    later = _replayed(journal, modules, tolerance, vary=(TIME,), watch=True)
    if later.state == VerdictState.VERIFIED:
        return here, "answers depend on the name of the working directory: they can be replayed by this server only"
    return _compared(later, here), ""


def _compared(one: Verdict, other: Verdict) -> Verdict:
    """The verdict on a journal that did not come out again in at least one of two replays."""
    if one.state == other.state == VerdictState.MISMATCH and (one.record, one.answer) == (other.record, other.answer):
        return one
    shown = one if one.record is not None or other.state == VerdictState.VERIFIED else other
    sources = sorted({*one.sources, *other.sources})
    if not shown.record:
        return dataclasses.replace(shown, state=VerdictState.NOT_REPLAYABLE)
    reason = (
        f"{shown.reason}; another process gave something else. The environment asks for {', '.join(sources) or UNKNOWN}"
    )
    return dataclasses.replace(shown, state=VerdictState.NOT_REPLAYABLE, reason=reason, sources=tuple(sources))


def _replayed(
    journal: Path, modules: Iterable[str], tolerance: float, *, vary: Iterable[str] = (), watch: bool = False
) -> Verdict:
    """What a fresh process finds; one that ends over it is started again a few times."""
    asked = {
        "journal": str(journal.resolve()), "modules": list(modules), "tolerance": tolerance, "watch": watch,
        "shift_seconds": SHIFT_SECONDS if TIME in vary else 0.0, "parent": os.getpid(),
    }  # fmt: skip
    for _ in range(ATTEMPTS):
        with _another_directory() if DIRECTORY in vary else contextlib.nullcontext(os.getcwd()) as directory:
            done = subprocess.run(
                interpreters.command(__name__),
                input=json.dumps(asked).encode(),
                stdout=subprocess.PIPE,
                cwd=directory,
                env=interpreters.again(),
                check=False,
            )
        with contextlib.suppress(ValueError, TypeError):
            told = json.loads(done.stdout)
            return Verdict(**{**told, "state": VerdictState(told["state"]), "sources": tuple(told["sources"])})
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    return Verdict(VerdictState.NOT_REPLAYABLE, f"its replay ended the process that it ran in ({how})")


@contextlib.contextmanager
def _another_directory() -> Iterator[str]:
    """A directory of another name that shows the files of this one."""
    with tempfile.TemporaryDirectory(prefix="elsewhere-") as directory:
        for entry in Path.cwd().iterdir():
            Path(directory, entry.name).symlink_to(entry)
        yield directory


def main() -> int:
    """Replays what standard input names, and writes the verdict as JSON."""
    told = os.dup(1)
    os.dup2(2, 1)  # what environments print goes to the log
    asked = json.load(sys.stdin)
    die_with(asked["parent"])
    sources = Sources(shift_seconds=asked["shift_seconds"]) if asked["watch"] else None
    catalogue = Catalogue(asked["modules"])
    records = [record for record, _, _ in scan(Path(asked["journal"]).read_bytes())]
    if sources is not None:
        sources.watching = True
    verdict = verification.verify(records, catalogue, tolerance=asked["tolerance"])
    found: dict[str, Any] = {**vars(verdict), "sources": sorted(sources.asked) if sources is not None else []}
    os.write(told, json.dumps(found).encode())
    os._exit(0)  # whatever threads the environment has left


if __name__ == "__main__":
    sys.exit(main())
