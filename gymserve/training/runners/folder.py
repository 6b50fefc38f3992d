"""An experiment's folder: all that passes between the process that runs it and the scheduler.

plan.json            what is to be done, written before the process starts
alive                locked for as long as the process lives; holds its id and when it started
metrics.jsonl        `[timestep, {name: value}]` a line, only ever appended to
log.txt              what it printed
checkpoints/<n>/     all that is needed to go on from timestep n
episode.json         an episode that has ended lately, where that is asked for
outcome.json         what became of it, written once at its end
spaces.pkl           the spaces in which its model is asked
parent/              the files of the model that it begins from, if it does
"""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gymserve.system import files, locks
from gymserve.training.plan.states import ExperimentState
from gymserve.training.plan.training_plan import ProgramPlan, TrainingPlan

PLAN, OLD_PLAN = "plan.json", "order.json"  # the second is what older versions wrote
SPACES = "spaces.pkl"
DIVERGED = "its numbers became NaN or infinite"  # how the reason of a run begins that failed so
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

    def prepare(self, plan: TrainingPlan | ProgramPlan) -> None:
        """Makes it ready for a process: what the last one said of its end is gone."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.path / "outcome.json").unlink(missing_ok=True)
        told = plan.to_dict() if isinstance(plan, TrainingPlan) else msgspec.to_builtins(plan)
        files.write_whole(self.path / PLAN, json.dumps(told), sync=True)

    def plan(self) -> dict[str, Any]:
        """What is to be done, as `prepare` wrote it."""
        path = self.path / PLAN
        found: dict[str, Any] = json.loads((path if path.exists() else self.path / OLD_PLAN).read_text())
        return found

    def training_plan(self) -> TrainingPlan:
        """The plan of a run of Stable-Baselines3, or of a model."""
        return TrainingPlan.from_dict(self.plan())

    def outcome(self) -> dict[str, Any] | None:
        """What the process said about its end, or None if it said nothing that makes sense."""
        try:
            found: dict[str, Any] = json.loads((self.path / "outcome.json").read_text())
            return found | {"state": ExperimentState(found["state"])}
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def end(self, state: ExperimentState, **more: Any) -> None:
        """Says what became of the experiment: `state` is completed, paused, stopped or failed."""
        files.write_whole(self.path / "outcome.json", json.dumps({"state": state, **more}), sync=True)

    def show(self, told: Mapping[str, Any]) -> None:
        """Keeps an episode to be looked at; the one before it goes."""
        files.write_whole(self.path / "episode.json", json.dumps(told))

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
        descriptor = locks.try_lock(self.path / "alive")
        if descriptor is not None:
            os.ftruncate(descriptor, 0)
        return descriptor

    def is_locked(self) -> bool:
        return locks.is_locked(self.path / "alive")

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

    def keep_learned(self) -> None:
        """Takes the newest checkpoint's model for that of the run, which has ended without leaving one."""
        newest = self.checkpoint()
        if newest is None or (self.path / "model.zip").exists():
            return
        for name in ("normalize.pkl", "model.zip"):  # the model last: it is whole then
            if (newest / name).exists():
                with files.replacing(self.path / name) as fresh:
                    shutil.copyfile(newest / name, fresh)

    def metrics_to_keep(self) -> int:
        """How many bytes of the metrics file were there at the newest checkpoint; 0: there is none."""
        newest = self.checkpoint()
        return 0 if newest is None else int(json.loads((newest / "note.json").read_text())["metrics_bytes"])

    @contextlib.contextmanager
    def new_checkpoint(self, timesteps: int) -> Any:
        """Gives a folder to fill; it is the newest checkpoint when the block ends, and older ones go."""
        whole = self.checkpoints / str(timesteps)
        with files.replacing_folder(whole) as fresh:
            yield fresh
        for other in self.checkpoints.iterdir():
            if other != whole:
                shutil.rmtree(other, ignore_errors=True)

    def forget(self) -> None:
        """Removes what earlier processes left, but the plan, the lock and what it begins from."""
        for path in self.path.iterdir() if self.path.exists() else ():
            if path.name not in ("alive", PLAN, OLD_PLAN, "parent"):
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

    def close(self) -> None:
        self._file.close()
