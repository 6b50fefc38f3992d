"""An experiment's folder: all that passes between the process that runs it and the scheduler.

order.json           what is to be done, written before the process starts
alive                locked for as long as the process lives; holds its id and when it started
metrics.jsonl        `[timestep, {name: value}]` a line, only ever appended to
log.txt              what it printed
checkpoints/<n>/     all that is needed to go on from timestep n
episode.json         an episode that has ended lately, where that is asked for
outcome.json         what became of it, written once at its end
parent/              the files of the model that it begins from, if it does
"""

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

FLUSH_SECONDS = 0.25
_encode = msgspec.json.Encoder().encode  # NaN and infinities become null


class Process(NamedTuple):
    """A process, told apart from a later one of the same id by when it started, in the kernel's ticks."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> "Process":
        """Raises: OSError: there is no such process."""
        return cls(pid, int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]))

    def is_there(self) -> bool:
        try:
            return Process.of(self.pid) == self
        except OSError:
            return False


class Folder:
    """The folder of one experiment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics = path / "metrics.jsonl"
        self.log = path / "log.txt"
        self.checkpoints = path / "checkpoints"
        self.tensorboard = path / "tensorboard"

    def prepare(self, order: Mapping[str, Any]) -> None:
        """Makes it ready for a process: what the last one said of its end is gone."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.path / "outcome.json").unlink(missing_ok=True)
        replace(self.path / "order.json", order)

    def order(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.path / "order.json").read_text())
        return found

    def outcome(self) -> dict[str, Any] | None:
        """What the process said of its end; None: nothing."""
        try:
            found: dict[str, Any] = json.loads((self.path / "outcome.json").read_text())
        except (OSError, ValueError):
            return None
        return found

    def end(self, state: str, **more: Any) -> None:
        """Says what became of the experiment: `state` is completed, paused, stopped or failed."""
        replace(self.path / "outcome.json", {"state": state, **more})

    def show(self, told: Mapping[str, Any]) -> None:
        """Keeps an episode to be looked at; the one before it goes."""
        fresh = self.path / "episode.new"
        fresh.write_text(json.dumps(told))
        os.replace(fresh, self.path / "episode.json")

    def shown(self) -> dict[str, Any] | None:
        """The episode that was kept last; None: there is none yet."""
        try:
            found: dict[str, Any] = json.loads((self.path / "episode.json").read_text())
        except (OSError, ValueError):
            return None
        return found

    # --- whether its process lives ----------------------------------------------------------------------------------

    def lock(self) -> int | None:
        """A descriptor that holds the lock, for a new process; None: one has it."""
        descriptor = os.open(self.path / "alive", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        os.ftruncate(descriptor, 0)
        return descriptor

    def is_locked(self) -> bool:
        try:
            descriptor = os.open(self.path / "alive", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def note_process(self, pid: int) -> None:
        """Writes down whose lock it is."""
        (self.path / "alive").write_text("{} {}".format(*Process.of(pid)))

    def process(self) -> Process | None:
        """The process that was last noted, whether it lives or not."""
        try:
            pid, started = (self.path / "alive").read_text().split()
        except (OSError, ValueError):
            return None
        return Process(int(pid), int(started))

    # --- checkpoints ------------------------------------------------------------------------------------------------

    def checkpoint(self) -> Path | None:
        """The newest one that is whole."""
        found = [path for path in self.checkpoints.glob("*") if path.name.isdecimal()]
        return max(found, key=lambda path: int(path.name), default=None)

    def metrics_to_keep(self) -> int:
        """How many bytes of the metrics file were there at the newest checkpoint; 0: there is none."""
        newest = self.checkpoint()
        return 0 if newest is None else int(json.loads((newest / "note.json").read_text())["metrics_bytes"])

    @contextlib.contextmanager
    def new_checkpoint(self, timesteps: int) -> Any:
        """Gives a folder to fill; it is the newest checkpoint when the block ends, and older ones go."""
        fresh = self.checkpoints / f"{timesteps}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        yield fresh
        whole = self.checkpoints / str(timesteps)
        shutil.rmtree(whole, ignore_errors=True)
        fresh.rename(whole)
        for other in self.checkpoints.iterdir():
            if other != whole:
                shutil.rmtree(other, ignore_errors=True)

    def forget(self) -> None:
        """Removes what earlier processes left, but the order, the lock and what it begins from."""
        for path in self.path.iterdir() if self.path.exists() else ():
            if path.name not in ("alive", "order.json", "parent"):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()

    def keep_metrics(self, size: int) -> None:
        """Cuts the metrics file to its first `size` bytes."""
        if self.metrics.exists():
            os.truncate(self.metrics, min(size, self.metrics.stat().st_size))


class MetricsFile:
    """Appends to a metrics file; what was written is in the file after a quarter of a second of writing at most."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "ab")  # noqa: SIM115 - it lives as long as the run
        self._flushed = time.monotonic()

    def write(self, timestep: int, values: Mapping[str, float]) -> None:
        self._file.write(_encode((timestep, values)) + b"\n")
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> int:
        """Returns the file's size, with all that was written."""
        self._file.flush()
        self._flushed = time.monotonic()
        return self._file.tell()


def replace(path: Path, value: Any) -> None:
    """Writes JSON so that a reader finds the old text or the new one, whole."""
    fresh = path.with_suffix(".new")
    with open(fresh, "w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
