"""An experiment's folder: everything that the experiment's process and the scheduler exchange.

plan.json            what to run, written before the process starts
alive                locked while the process lives; holds its id and start time
metrics.jsonl        `[timestep, {name: value}]` per line, append-only
log.txt              its output
checkpoints/<n>/     everything needed to resume from timestep n
episode.json         a recently finished episode, if requested
outcome.json         how it ended, written once, at its end
spaces.pkl           the spaces in which the model is queried
parent/              the files of its parent model, if it has one
"""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from gymserve.protocol.wire import JSONObject
from gymserve.system import files, locks
from gymserve.training.plan.states import ExperimentState
from gymserve.training.plan.training_plan import ProgramPlan, TrainingPlan

PLAN, OLD_PLAN = "plan.json", "order.json"  # the second was written by older versions
SPACES = "spaces.pkl"
DIVERGED = "its numbers became NaN or infinite"  # the beginning of such a failure's reason
FLUSH_SECONDS = 0.25
_encode = msgspec.json.Encoder().encode  # NaN and infinities become null


class ProcessIdentity(NamedTuple):
    """A process, identified by its id and its start time, since ids are reused.

    The time is in the kernel's ticks since it was booted: psutil's `create_time` changes whenever the clock is set.
    """

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity":
        """Identify a running process.

        Raises:
            OSError: there is no such process.
        """
        return cls(pid, int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]))

    def is_there(self) -> bool:
        """Return whether the process still exists."""
        try:
            return ProcessIdentity.of(self.pid) == self
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

    def prepare(self, plan: TrainingPlan | ProgramPlan) -> None:
        """Write the plan for a new process, and delete the outcome of the previous one."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.path / "outcome.json").unlink(missing_ok=True)
        data = plan.to_dict() if isinstance(plan, TrainingPlan) else msgspec.to_builtins(plan)
        files.write_atomically(self.path / PLAN, json.dumps(data), sync=True)

    def plan(self) -> JSONObject:
        """Return the plan as written by `prepare`."""
        path = self.path / PLAN
        plan: JSONObject = json.loads((path if path.exists() else self.path / OLD_PLAN).read_text())
        return plan

    def training_plan(self) -> TrainingPlan:
        """Return the plan of a Stable-Baselines3 run or of a model."""
        return TrainingPlan.from_dict(self.plan())

    def outcome(self) -> JSONObject | None:
        """Return the process's outcome, or None if it left none or an unreadable one."""
        try:
            outcome: JSONObject = json.loads((self.path / "outcome.json").read_text())
            return outcome | {"state": ExperimentState(outcome["state"])}
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def end(self, state: ExperimentState, **more: object) -> None:
        """Write the outcome; `state` is completed, paused, stopped or failed."""
        files.write_atomically(self.path / "outcome.json", json.dumps({"state": state, **more}), sync=True)

    def show(self, episode: Mapping[str, object]) -> None:
        """Save an episode for viewers, replacing the previous one."""
        files.write_atomically(self.path / "episode.json", json.dumps(episode))

    def shown(self) -> JSONObject | None:
        """Return the last saved episode, or None if there is none yet."""
        try:
            episode: JSONObject = json.loads((self.path / "episode.json").read_text())
        except (OSError, ValueError):
            return None
        return episode

    def lock(self) -> int | None:
        """Take the lock for a new process; return its descriptor, or None if another process holds it."""
        descriptor = locks.try_lock(self.path / "alive")
        if descriptor is not None:
            os.ftruncate(descriptor, 0)
        return descriptor

    def is_locked(self) -> bool:
        """Return whether the experiment's process is alive."""
        return locks.is_locked(self.path / "alive")

    def note_process(self, pid: int) -> None:
        """Record which process holds the lock."""
        (self.path / "alive").write_text("{} {}".format(*ProcessIdentity.of(pid)))

    def process(self) -> ProcessIdentity | None:
        """Return the last recorded process, alive or not."""
        try:
            pid, started = (self.path / "alive").read_text().split()
        except (OSError, ValueError):
            return None
        return ProcessIdentity(int(pid), int(started))

    def checkpoint(self) -> Path | None:
        """Return the newest complete checkpoint."""
        checkpoints = [path for path in self.checkpoints.glob("*") if path.name.isdecimal()]
        return max(checkpoints, key=lambda path: int(path.name), default=None)

    def keep_learned(self) -> None:
        """Use the newest checkpoint's model as the run's model, if the run ended without saving one."""
        newest = self.checkpoint()
        if newest is None or (self.path / "model.zip").exists():
            return
        for name in ("normalize.pkl", "model.zip"):  # the model goes last: once it exists, all files do
            if (newest / name).exists():
                with files.replacing(self.path / name) as fresh:
                    shutil.copyfile(newest / name, fresh)

    def metrics_to_keep(self) -> int:
        """Return the metrics file's size at the newest checkpoint; 0 if there is none."""
        newest = self.checkpoint()
        return 0 if newest is None else int(json.loads((newest / "note.json").read_text())["metrics_bytes"])

    @contextlib.contextmanager
    def new_checkpoint(self, timesteps: int) -> Iterator[Path]:
        """Yield a folder to fill; when the block ends, it becomes the newest checkpoint and older ones are deleted."""
        whole = self.checkpoints / str(timesteps)
        with files.replacing_folder(whole) as fresh:
            yield fresh
        for other in self.checkpoints.iterdir():
            if other != whole:
                shutil.rmtree(other, ignore_errors=True)

    def forget(self) -> None:
        """Delete what earlier processes left, except for the plan, the lock and the parent's files."""
        for path in self.path.iterdir() if self.path.exists() else ():
            if path.name not in ("alive", PLAN, OLD_PLAN, "parent"):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()

    def keep_metrics(self, size: int) -> None:
        """Truncate the metrics file to `size` bytes."""
        if self.metrics.exists():
            os.truncate(self.metrics, min(size, self.metrics.stat().st_size))


class MetricsFile:
    """Appends to a metrics file, and flushes it at least every quarter of a second of writing."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "ab")  # noqa: SIM115 - open for the whole run
        self._flushed = time.monotonic()

    def write(self, timestep: int, values: Mapping[str, float]) -> None:
        """Append the values of one timestep."""
        self._file.write(_encode((timestep, values)) + b"\n")
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> int:
        """Flush the file and return its size."""
        self._file.flush()
        self._flushed = time.monotonic()
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
