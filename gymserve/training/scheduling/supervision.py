"""Supervision of experiments: repeated passes over all of them, each safe to run after a killed one."""

import contextlib
import logging
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from sqlalchemy import select

from gymserve.hosts.folders import occupied
from gymserve.protocol.errors import GymserveError, StorageFull, Unavailable
from gymserve.recording.media import Media
from gymserve.store import Database
from gymserve.store.models import Experiment, now
from gymserve.system import interpreters
from gymserve.training.experiments import metrics
from gymserve.training.models import registry as models
from gymserve.training.plan import stored
from gymserve.training.plan.programs import Program
from gymserve.training.plan.states import ACTIVE, ExperimentState
from gymserve.training.plan.training_plan import SB3, ProgramPlan, TimeSpent, TrainingPlan
from gymserve.training.runners import processes
from gymserve.training.runners.folder import Folder
from gymserve.training.runners.warm import Warm
from gymserve.training.scheduling.conclusion import conclude
from gymserve.training.scheduling.dry_runs import DRY_RUNS, DryRunner

READ_SECONDS = 0.5  # between reads of a metrics file
MEASURE_SECONDS = 1.0
SWEEP_SECONDS = 5.0
MODULES = {SB3: "gymserve.training.runners.sb3"}
BEST = "best.journal"  # left by a runner whose best evaluation episode can be replayed
COMMAND = "gymserve.training.runners.command"
log = logging.getLogger("gymserve.training")


class Watched:
    """What the scheduler remembers about a running experiment; all of it can be reconstructed."""

    def __init__(self, folder: Folder, child: "processes.Child | None" = None) -> None:
        self.folder, self.child = folder, child
        self.next_read = self.next_measure = 0.0
        self.signals: list[tuple[float, signal.Signals]] | None = None  # (when, which) to send to end it
        self.next_pause = 0.0
        self.before: TimeSpent | None = None


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings:
    """The settings of experiments and their processes, see `docs/settings.md`."""

    data: str
    max_concurrent_experiments: int
    default_timeout_minutes: float
    experiment_memory_mb: int
    experiment_storage_mb: int
    experiment_grace_seconds: float
    journal_days: float
    environment_variables: dict[str, str]
    environment_modules: list[str]
    training_servers: dict[str, str]
    training_tokens: dict[str, str] = field(repr=False)


class ExperimentSupervision:
    """Starts, watches and ends experiments.

    Args:
        folder: the folder that holds the experiments' folders.
        media: the store from which their videos are requested.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        programs: Mapping[str, Program],
        media: Media,
        settings: ExperimentSettings,
    ) -> None:
        self.database, self.folder, self.programs, self.media = database, folder, programs, media
        self.settings = settings
        self._watched: dict[int, Watched] = {}
        self._failing: set[int] = set()  # experiments that raised an error in the last pass
        self._next_sweep = 0.0
        self._warm = Warm(interpreters.variables(settings.environment_variables))
        self._dry_runs = DryRunner(folder.parent / DRY_RUNS, memory_bytes=int(settings.experiment_memory_mb * 2**20))

    def poll_dry_runs(self) -> bool:
        """Start, watch and end dry runs; return whether there are any."""
        try:
            return self._dry_runs.poll(self._warm)
        except Unavailable as error:
            log.warning("%s", error)
            return True

    def tick(self) -> bool:
        """Make one pass over everything; return whether there was any work."""
        with self.database.reading() as session:
            query = select(Experiment).where(Experiment.state.in_(ACTIVE))
            rows = list(session.scalars(query.order_by(Experiment.queued_at, Experiment.id)))
        running = [row for row in rows if row.state == ExperimentState.RUNNING]
        for row in running:
            with self._isolated(row):
                self._look(row)
        self._watched = {row.id: self._watched[row.id] for row in running if row.id in self._watched}
        self._start_next(rows)
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + SWEEP_SECONDS
            self.sweep()
        return bool(rows)

    def _start_next(self, rows: list[Experiment]) -> None:
        """Start queued experiments while there is room, first those of accounts with the fewest running ones."""
        running = Counter(row.account_id for row in rows if row.state == ExperimentState.RUNNING)
        waiting = [row for row in rows if row.state == ExperimentState.QUEUED]
        while waiting and running.total() < self.settings.max_concurrent_experiments:
            row = min(waiting, key=lambda row: running[row.account_id])
            waiting.remove(row)
            if row.runner == SB3 and not self._warm.is_settled():
                continue  # the libraries are still being imported; try again in the next pass
            with self._isolated(row):
                if self._start(row):
                    running[row.account_id] += 1

    @contextlib.contextmanager
    def _isolated(self, row: Experiment) -> Iterator[None]:
        """Keep an error in one experiment (an unreadable folder, say) from affecting the others; the next pass retries it."""
        try:
            yield
            self._failing.discard(row.id)
        except Unavailable:
            raise  # the database is away, for all of them
        except Exception:
            if row.id not in self._failing:  # log once, not in every pass
                log.exception("experiment %s cannot be supervised", row.name)
            self._failing.add(row.id)

    def _start(self, row: Experiment) -> bool:
        folder = Folder(self.folder / row.name)
        if folder.is_locked():  # its previous process is still alive
            if (process := folder.process()) is not None:
                processes.send(process, signal.SIGKILL)
            return False
        if row.request == "anew":
            folder.forget()
            self.media.remove_experiment(row.name)
        kept = folder.metrics_to_keep()
        folder.keep_metrics(kept)
        if not kept:
            shutil.rmtree(folder.tensorboard, ignore_errors=True)
        try:
            plan = stored.runnable(row, self.programs, modules=self.settings.environment_modules)
        except GymserveError as error:
            self._fail(row, str(error))
            return False
        folder.prepare(plan)
        with self.database.writing() as session:
            fresh = session.get(Experiment, row.id, with_for_update=True)
            if fresh is None or fresh.state != ExperimentState.QUEUED:
                return False
            fresh.state, fresh.request, fresh.attempts = ExperimentState.RUNNING, "", fresh.attempts + 1
            fresh.started_at = fresh.started_at or now()
            metrics.cut(session, fresh, kept)
        try:
            warm = self._warm if row.runner == SB3 else None
            child = processes.start(
                folder,
                MODULES.get(row.runner, COMMAND),
                self._variables(plan),
                directory=interpreters.directory(Path(self.settings.data)),
                warm=warm,
            )
        except Unavailable as error:
            self._fail(row, str(error))
            return False
        self._watched[row.id] = Watched(folder, child)
        log.info("experiment %s starts", row.name)
        return True

    def _variables(self, plan: TrainingPlan | ProgramPlan) -> dict[str, str]:
        variables = interpreters.variables(self.settings.environment_variables)
        server = plan.server if isinstance(plan, TrainingPlan) else None
        if server is None:
            return variables
        variables["GYMSERVE_SERVER"] = self.settings.training_servers.get(server, "")
        if server in self.settings.training_tokens:
            variables["GYMSERVE_TOKEN"] = self.settings.training_tokens[server]
        return variables

    def _fail(self, row: Experiment, reason: str) -> None:
        with self.database.writing() as session:
            fresh = session.get(Experiment, row.id, with_for_update=True)
            if fresh is not None:
                fresh.state, fresh.request = ExperimentState.FAILED, ""
                fresh.reason, fresh.completed_at = reason[:500], now()
                log.error("experiment %s is failed: %s", fresh.name, fresh.reason)

    def _look(self, row: Experiment) -> None:
        watched = self._watched.setdefault(row.id, Watched(Folder(self.folder / row.name)))
        lives = watched.folder.is_locked()
        if watched.child is not None:
            watched.child.poll()
        if not lives:
            self._conclude(row, watched)
            return
        self._grant(row, watched)
        clock = time.monotonic()
        if clock >= watched.next_measure:
            watched.next_measure = clock + MEASURE_SECONDS
            self._measure(row, watched)
        if clock >= watched.next_read:
            watched.next_read = clock + READ_SECONDS
            self._read(row, watched)

    def _grant(self, row: Experiment, watched: Watched) -> None:
        """Pass a pending request on to an experiment's process: to pause, or to end, with ever stronger signals."""
        process, clock = watched.folder.process(), time.monotonic()
        if process is None:
            return  # it has just been started
        if row.request == "pause" and clock >= watched.next_pause:
            watched.next_pause = clock + 1.0
            processes.send(process, signal.SIGUSR1, group=False)
        if row.request in ("stop", "end") and watched.signals is None:
            grace = self.settings.experiment_grace_seconds
            watched.signals = [
                (clock, signal.SIGINT), (clock + grace, signal.SIGTERM), (clock + 2 * grace, signal.SIGKILL),
            ]  # fmt: skip
        while watched.signals and watched.signals[0][0] <= clock:
            processes.send(process, watched.signals.pop(0)[1])

    def _measure(self, row: Experiment, watched: Watched) -> None:
        """Record time and memory, and request the end of an experiment that exceeds its limits."""
        process = watched.folder.process()
        if process is None or not process.is_there():
            return
        if watched.before is None:
            watched.before = msgspec.convert(watched.folder.plan(), TimeSpent)
        used = processes.usage(process.pid)
        seconds = watched.before.seconds_before + processes.age(process)
        minutes = stored.minutes_of(row, self.settings.default_timeout_minutes)
        with self.database.writing() as session:
            fresh = session.get(Experiment, row.id, with_for_update=True)
            if fresh is None:
                return
            fresh.seconds = seconds
            # Processes that have ended and that nobody has waited for yet are missing from what is used.
            fresh.cpu_seconds = max(fresh.cpu_seconds, watched.before.cpu_before + used.cpu_seconds)
            fresh.peak_memory = max(fresh.peak_memory, used.memory)
            if fresh.request not in ("stop", "end"):
                if seconds > minutes * 60:
                    fresh.request, fresh.reason = "end", f"it ran longer than its {minutes:g} minutes"
                elif used.memory > self.settings.experiment_memory_mb * 2**20:
                    most = self.settings.experiment_memory_mb
                    fresh.request, fresh.reason = "end", f"it used more than EXPERIMENT_MEMORY_MB = {most} MB"
                    processes.send(process, signal.SIGKILL)  # immediately, before the machine runs out of memory
                elif occupied(watched.folder.path) > self.settings.experiment_storage_mb * 2**20:
                    most = self.settings.experiment_storage_mb
                    fresh.request, fresh.reason = "end", f"it wrote more than EXPERIMENT_STORAGE_MB = {most} MB"

    def _read(self, row: Experiment, watched: Watched) -> None:
        try:
            if watched.folder.metrics.stat().st_size == row.metrics_read:
                return
        except FileNotFoundError:
            return
        with self.database.writing() as session:
            fresh = session.get(Experiment, row.id, with_for_update=True)
            if fresh is not None and metrics.load(session, fresh, watched.folder.metrics):
                watched.next_read = 0.0

    def _conclude(self, row: Experiment, watched: Watched) -> None:
        """Record how an experiment whose process has ended turned out, once its process group is empty."""
        process = watched.folder.process()
        if process is not None and not processes.sweep(process):
            return
        code = None
        if watched.child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = watched.child.wait(1.0)
        with self.database.writing() as session:
            fresh = session.get(Experiment, row.id, with_for_update=True)
            if fresh is None:
                return
            while metrics.load(session, fresh, watched.folder.metrics):
                pass
            conclude(fresh, watched.folder, code)
            self._request_video(fresh)  # before the end is recorded, so that a crash in between repeats the request
            level = logging.ERROR if fresh.state == ExperimentState.FAILED else logging.INFO
            log.log(level, "experiment %s is %s: %s", fresh.name, fresh.state, fresh.reason)
        del self._watched[row.id]

    def _request_video(self, row: Experiment) -> None:
        if row.state == ExperimentState.COMPLETED and (self.folder / row.name / BEST).exists():
            try:
                self.media.request_experiment_video(row.name, title=f"{row.title} · best evaluation episode")
            except StorageFull as error:
                log.warning("there will be no video of experiment %s: %s", row.name, error)

    def sweep(self) -> None:
        """End processes of experiments that were deleted with their account or project, and delete old files.

        Folders and videos are kept for JOURNAL_DAYS, in case the database was swapped by mistake.
        """
        models.sweep(self.database, self.folder.parent / "models", self.settings.journal_days)
        with self.database.reading() as session:
            known = set(session.scalars(select(Experiment.name)))
        self.media.sweep_experiments(known, self.settings.journal_days)
        if not self.folder.exists():
            return
        for path in self.folder.iterdir():
            if path.name in known:
                continue
            folder = Folder(path)
            process = folder.process()
            if folder.is_locked():
                if process is not None:
                    processes.send(process, signal.SIGKILL)
            elif process is None or processes.sweep(process):
                age = time.time() - path.stat().st_mtime
                if age > self.settings.journal_days * 86400:
                    shutil.rmtree(path, ignore_errors=True)
                    self.media.remove_experiment(path.name)
