"""Dry runs: each plan is tried once, in its own process, before its experiment is created.

A web worker writes a folder under <data>/dry-runs; the scheduler finds it, forks `runners.dry_run` for it, and that process
writes the outcome into it.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from gymserve.protocol.errors import LimitReached, StorageFull, Unavailable, Untrainable
from gymserve.system import interpreters
from gymserve.system.files import replacing_folder
from gymserve.training.plan.states import ExperimentState
from gymserve.training.plan.training_plan import TrainingPlan
from gymserve.training.runners import processes
from gymserve.training.runners.dry_run import SPACES
from gymserve.training.runners.folder import Folder
from gymserve.training.runners.warm import Warm

MODULE = "gymserve.training.runners.dry_run"
DRY_RUNS = "dry-runs"  # below the data directory
SECONDS = 60.0  # for one dry run
WAIT_SECONDS = 120.0  # includes queued ones, and a scheduler still importing the libraries
LOOK_SECONDS = 0.02
AT_ONCE = 2
REMEMBERED = 1000  # passed plans to remember
CHOICES = (  # the parts of a plan that decide whether it can be trained
    "package", "algorithm", "policy", "hyperparameters", "n_envs", "normalize", "frame_stack", "atari",
)  # fmt: skip


class DryRuns:
    """The web workers' side.

    Args:
        folder: the folder of all dry runs.
        wake: starts the scheduler if it is not running.
    """

    def __init__(self, folder: Path, wake: Callable[[], None]) -> None:
        self.folder, self.wake = folder, wake
        self._passed: OrderedDict[bytes, None] = OrderedDict()
        self._turns = threading.BoundedSemaphore(8)  # each occupies a thread of the worker

    def has_work(self) -> bool:
        """Return whether any dry run is waiting or running."""
        return next(waiting(self.folder), None) is not None

    def check(self, plan: TrainingPlan, spaces: tuple[Mapping[str, object], Mapping[str, object]]) -> None:
        """Try a plan, unless an equivalent one has passed.

        Args:
            spaces: descriptions of the observation space and the action space.

        Raises:
            Untrainable: it cannot be trained; the message says why.
            LimitReached: too many plans are waiting.
            Unavailable: no process tried it in time.
            StorageFull: the disk is full.
        """
        key = msgspec.json.encode([{name: getattr(plan, name) for name in CHOICES}, spaces])
        if key in self._passed:
            return
        if not self._turns.acquire(blocking=False):
            raise LimitReached("many experiments are being created: try again")
        try:
            outcome = self._outcome(plan, msgspec.json.encode(spaces))
        finally:
            self._turns.release()
        if outcome["state"] != ExperimentState.COMPLETED:
            raise Untrainable(
                f"{plan.algorithm} cannot be trained in {plan.env_id} with this configuration: {outcome['reason']}"
            )
        self._passed[key] = None
        while len(self._passed) > REMEMBERED:
            self._passed.popitem(last=False)

    def _outcome(self, plan: TrainingPlan, spaces: bytes) -> dict[str, object]:
        name = str(uuid.uuid4())
        folder = Folder(self.folder / name)
        try:
            with replacing_folder(folder.path) as fresh:
                Folder(fresh).prepare(plan)
                (fresh / SPACES).write_bytes(spaces)
        except OSError as error:
            raise StorageFull(f"the plan cannot be tried: {error.strerror}") from error
        deadline = time.monotonic() + WAIT_SECONDS
        self.wake()
        try:
            while (outcome := folder.outcome()) is None:
                if time.monotonic() > deadline:
                    raise Unavailable("the process that tries new experiments does not answer: try again")
                time.sleep(LOOK_SECONDS)
            return outcome
        finally:
            shutil.rmtree(folder.path, ignore_errors=True)


class DryRunner:
    """The scheduler's side: starts waiting dry runs, and ends those that exceed their time or memory.

    Args:
        memory_bytes: how much memory one dry run may use.
    """

    def __init__(self, folder: Path, *, memory_bytes: int) -> None:
        self.folder, self.memory_bytes = folder, memory_bytes
        self._running: dict[str, tuple[processes.Child, float]] = {}  # name → (process, deadline)

    def poll(self, warm: Warm) -> bool:
        """Start, watch and end dry runs; return whether there are any.

        Raises:
            Unavailable: the system cannot start more processes.
        """
        for name, (child, deadline) in list(self._running.items()):
            if child.poll() is not None or not self._is_within_limits(name, child, deadline):
                self._end(name, child)
        names = [path.name for path in waiting(self.folder)]
        for name in names:
            if name not in self._running and len(self._running) < AT_ONCE and warm.is_settled():
                folder, variables = Folder(self.folder / name), interpreters.variables({})
                started = processes.start(folder, MODULE, variables, directory=folder.path, warm=warm)
                if started is not None:
                    self._running[name] = started, time.monotonic() + SECONDS
        return bool(names)

    def _is_within_limits(self, name: str, child: "processes.Child", deadline: float) -> bool:
        if time.monotonic() > deadline:
            reason = f"building its model takes longer than {SECONDS:g} s"
        elif processes.usage(child.pid).memory > self.memory_bytes:
            reason = f"building its model takes more than EXPERIMENT_MEMORY_MB = {self.memory_bytes >> 20} MB"
        else:
            return True
        with contextlib.suppress(OSError):  # the worker has given up and removed the folder
            Folder(self.folder / name).end(ExperimentState.FAILED, reason=reason)
        return False

    def _end(self, name: str, child: "processes.Child") -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(1.0)
        folder = Folder(self.folder / name)
        if folder.path.exists() and folder.outcome() is None:
            with contextlib.suppress(OSError):
                folder.end(ExperimentState.FAILED, reason="building its model killed the process")
        del self._running[name]


def waiting(folder: Path) -> Iterator[Path]:
    """Yield the folders of dry runs without an outcome; remove folders that their worker has abandoned."""
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir():
            if time.time() - path.stat().st_mtime > 2 * WAIT_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
            elif not path.name.startswith(".") and not (path / "outcome.json").exists():
                yield path
