"""Replays in separate processes: `python -m gymserve.grader.proofs.replays` runs one.

A replay proves little in the process that recorded the journal, or after other replays. Each one runs in a fresh
interpreter, set up like a host's (`gymserve/system/interpreters.py`), with another process id, other memory addresses
and another time.
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

from gymserve.environments import Catalogue
from gymserve.grader.challenges.states import VerdictState
from gymserve.grader.proofs import verification
from gymserve.grader.proofs.sources import SHIFT_SECONDS, Sources
from gymserve.grader.proofs.verification import Verdict
from gymserve.hosts import child_processes
from gymserve.journal.file import scan
from gymserve.system import interpreters
from gymserve.system.background import ATTEMPTS

DIRECTORY, TIME = "directory", "time"
UNKNOWN = "no known source: the order of a set of objects (memory addresses), datetime.now and C code are not observed"


def verify(journal: Path, modules: Iterable[str], *, tolerance: float = 0.0) -> Verdict:
    """Replays a graded instance's journal. If the replay differs, replays it again in another process.

    Args:
        modules: the modules that register environments.
        tolerance: see `verification.verify`.
    """
    first = _replay(journal, modules, tolerance)
    if first.state == VerdictState.VERIFIED:
        return first
    return _combine(first, _replay(journal, modules, tolerance, watch=True))


def check(journal: Path, modules: Iterable[str], *, tolerance: float = 0.0) -> tuple[Verdict, str]:
    """Replays a journal that was just recorded, in another directory and at another time of day.

    Returns:
        The verdict, and a warning or "".
    """
    elsewhere = _replay(journal, modules, tolerance, vary=(DIRECTORY, TIME), watch=True)
    if elsewhere.state == VerdictState.VERIFIED:
        return elsewhere, ""
    here = _replay(journal, modules, tolerance, watch=True)
    if here.state != VerdictState.VERIFIED:
        return _combine(elsewhere, here), ""
    later = _replay(journal, modules, tolerance, vary=(TIME,), watch=True)
    if later.state == VerdictState.VERIFIED:
        return here, "results depend on the name of the working directory: only this server can replay them"
    return _combine(later, here), ""


def _combine(one: Verdict, other: Verdict) -> Verdict:
    """The verdict on a journal from two replays, at least one of which differed."""
    if one.state == other.state == VerdictState.MISMATCH and (one.record, one.answer) == (other.record, other.answer):
        return one
    shown = one if one.record is not None or other.state == VerdictState.VERIFIED else other
    sources = sorted({*one.sources, *other.sources})
    if not shown.record:
        return dataclasses.replace(shown, state=VerdictState.NOT_REPLAYABLE)
    reason = (
        f"{shown.reason}; another process gave another result. The environment uses {', '.join(sources) or UNKNOWN}"
    )
    return dataclasses.replace(shown, state=VerdictState.NOT_REPLAYABLE, reason=reason, sources=tuple(sources))


def _replay(
    journal: Path, modules: Iterable[str], tolerance: float, *, vary: Iterable[str] = (), watch: bool = False
) -> Verdict:
    """The verdict of a fresh process. If the process crashes, it is started again a few times."""
    params = {
        "journal": str(journal.resolve()), "modules": list(modules), "tolerance": tolerance, "watch": watch,
        "shift_seconds": SHIFT_SECONDS if TIME in vary else 0.0, "parent": os.getpid(),
    }  # fmt: skip
    for _ in range(ATTEMPTS):
        with _another_directory() if DIRECTORY in vary else contextlib.nullcontext(os.getcwd()) as directory:
            done = subprocess.run(
                interpreters.command(__name__),
                input=json.dumps(params).encode(),
                stdout=subprocess.PIPE,
                cwd=directory,
                env=interpreters.variables_like_this(),
                check=False,
            )
        with contextlib.suppress(ValueError, TypeError):
            fields = json.loads(done.stdout)
            return Verdict(**{**fields, "state": VerdictState(fields["state"]), "sources": tuple(fields["sources"])})
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    return Verdict(VerdictState.NOT_REPLAYABLE, f"its replay ended the process that it ran in ({how})")


@contextlib.contextmanager
def _another_directory() -> Iterator[str]:
    """A directory with another name and the same files as this one."""
    with tempfile.TemporaryDirectory(prefix="elsewhere-") as directory:
        for entry in Path.cwd().iterdir():
            Path(directory, entry.name).symlink_to(entry)
        yield directory


def main() -> int:
    """Replays the journal that standard input names, and writes the verdict as JSON."""
    output = os.dup(1)
    os.dup2(2, 1)  # so that the environment's prints go to the log
    params = json.load(sys.stdin)
    child_processes.die_with(params["parent"])
    sources = Sources(shift_seconds=params["shift_seconds"]) if params["watch"] else None
    catalogue = Catalogue(params["modules"])
    records = [record for record, _, _ in scan(Path(params["journal"]).read_bytes())]
    if sources is not None:
        sources.watching = True
    verdict = verification.verify(records, catalogue, tolerance=params["tolerance"])
    fields: dict[str, object] = {**vars(verdict), "sources": sorted(sources.used) if sources is not None else []}
    os.write(output, json.dumps(fields).encode())
    os._exit(0)  # without waiting for threads of the environment


if __name__ == "__main__":
    sys.exit(main())
