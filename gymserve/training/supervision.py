"""What the scheduler does: one look at all experiments after another, each able to follow a process that was killed."""

import contextlib
import logging
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlalchemy import select

from gymserve.errors import GymserveError, StorageFull, Unavailable
from gymserve.recording.media import Media
from gymserve.settings import Settings
from gymserve.store import Database
from gymserve.store.models import Experiment, now
from gymserve.training import metrics, orders
from gymserve.training.conclusion import conclude
from gymserve.training.runners import processes
from gymserve.training.runners.folder import Folder
from gymserve.training.runners.programs import Program

READ_SECONDS = 0.5  # between two looks at a metrics file
MEASURE_SECONDS = 1.0
SWEEP_SECONDS = 5.0
MODULES = {orders.SB3: "gymserve.training.runners.sb3"}
BEST = "best.journal"  # left by a runner whose final evaluation can be shown
COMMAND = "gymserve.training.runners.command"
log = logging.getLogger("gymserve.training")


class Watched:
    """What is remembered of an experiment that runs; all of it can be found out again."""

    def __init__(self, folder: Folder, child: "subprocess.Popen[bytes] | None" = None) -> None:
        self.folder, self.child = folder, child
        self.next_read = self.next_measure = 0.0
        self.signals: list[tuple[float, signal.Signals]] | None = None  # (when, which): to end it
        self.next_pause = 0.0
        self.before: tuple[float, float] | None = None  # seconds and processor time of earlier processes


class Supervision:
    """Args:
    folder: that of all experiments.
    media: where videos of them are ordered.
    """

    def __init__(
        self, database: Database, folder: Path, settings: Settings, programs: Mapping[str, Program], media: Media
    ) -> None:
        self.database, self.folder, self.settings, self.programs = database, folder, settings, programs
        self.media = media
        self._watched: dict[int, Watched] = {}
        self._troubled: set[int] = set()  # experiments that could not be seen to in the last round
        self._next_sweep = 0.0

    def tick(self) -> bool:
        """One look at everything; whether there was anything to look at."""
        with self.database.reading() as session:
            query = select(Experiment).where(Experiment.state.in_(("queued", "running")))
            rows = list(session.scalars(query.order_by(Experiment.queued_at, Experiment.id)))
        running = [row for row in rows if row.state == "running"]
        for row in running:
            with self._alone(row):
                self._look(row)
        self._watched = {row.id: self._watched[row.id] for row in running if row.id in self._watched}
        self._start_next(rows)
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + SWEEP_SECONDS
            self.sweep()
        return bool(rows)

    # --- starting ---------------------------------------------------------------------------------------------------

    def _start_next(self, rows: list[Experiment]) -> None:
        """Starts what waits, while there is room: first those of accounts with the fewest that run."""
        taken = Counter(row.account_id for row in rows if row.state == "running")
        waiting = [row for row in rows if row.state == "queued"]
        while waiting and taken.total() < self.settings.MAX_CONCURRENT_EXPERIMENTS:
            row = min(waiting, key=lambda row: taken[row.account_id])
            waiting.remove(row)
            with self._alone(row):
                if self._start(row):
                    taken[row.account_id] += 1

    @contextlib.contextmanager
    def _alone(self, row: Experiment) -> Iterator[None]:
        """Keeps one experiment, whose folder cannot be read, say, from standing in the way of the others; the next round
        looks at it again."""
        try:
            yield
            self._troubled.discard(row.id)
        except Unavailable:
            raise  # the database is away, for all of them
        except Exception:
            if row.id not in self._troubled:  # once, not each round
                log.exception("experiment %s cannot be seen to", row.name)
            self._troubled.add(row.id)

    def _start(self, row: Experiment) -> bool:
        folder = Folder(self.folder / row.name)
        if folder.is_locked():  # the one before is not gone yet
            if (process := folder.process()) is not None:
                processes.send(process, signal.SIGKILL)
            return False
        if row.wish == "anew":
            folder.forget()
            self.media.forget_experiment(row.name)
        kept = folder.metrics_to_keep()
        folder.keep_metrics(kept)
        if not kept:
            shutil.rmtree(folder.tensorboard, ignore_errors=True)
        try:
            order = orders.tell(row, self.settings, self.programs)
        except GymserveError as error:
            self._fail(row, str(error))
            return False
        folder.prepare({**order, "seconds_before": row.seconds, "cpu_before": row.cpu_seconds})
        with self.database.writing() as session:
            fresh = session.get(Experiment, row.id, with_for_update=True)
            if fresh is None or fresh.state != "queued":
                return False
            fresh.state, fresh.wish, fresh.attempts = "running", "", fresh.attempts + 1
            fresh.started_at = fresh.started_at or now()
            metrics.cut(session, fresh, kept)
        try:
            child = processes.start(folder, MODULES.get(row.runner, COMMAND), self._variables(order))
        except Unavailable as error:
            self._fail(row, str(error))
            return False
        self._watched[row.id] = Watched(folder, child)
        log.info("experiment %s starts", row.name)
        return True

    def _variables(self, order: Mapping[str, object]) -> dict[str, str]:
        server = order.get("server")
        if not isinstance(server, str):
            return {}
        found = {"GYMSERVE_SERVER": self.settings.TRAINING_SERVERS.get(server, "")}
        if server in self.settings.TRAINING_TOKENS:
            found["GYMSERVE_TOKEN"] = self.settings.TRAINING_TOKENS[server]
        return found

    def _fail(self, row: Experiment, reason: str) -> None:
        with self.database.writing() as session:
            fresh = session.get(Experiment, row.id, with_for_update=True)
            if fresh is not None:
                fresh.state, fresh.wish, fresh.reason, fresh.completed_at = "failed", "", reason[:500], now()

    # --- watching ---------------------------------------------------------------------------------------------------

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
        """Passes on what is wished of an experiment: to pause, or to end, more and more firmly."""
        process, clock = watched.folder.process(), time.monotonic()
        if process is None:
            return  # it has only just been started
        if row.wish == "pause" and clock >= watched.next_pause:
            watched.next_pause = clock + 1.0
            processes.send(process, signal.SIGUSR1, group=False)
        if row.wish in ("stop", "end") and watched.signals is None:
            grace = self.settings.EXPERIMENT_GRACE_SECONDS
            watched.signals = [
                (clock, signal.SIGINT), (clock + grace, signal.SIGTERM), (clock + 2 * grace, signal.SIGKILL),
            ]  # fmt: skip
        while watched.signals and watched.signals[0][0] <= clock:
            processes.send(process, watched.signals.pop(0)[1])

    def _measure(self, row: Experiment, watched: Watched) -> None:
        """Notes time and memory, and asks for the end of what takes too much."""
        process = watched.folder.process()
        if process is None or not process.is_there():
            return
        if watched.before is None:
            order = watched.folder.order()
            watched.before = (float(order["seconds_before"]), float(order["cpu_before"]))
        used = processes.usage(process.pid)
        seconds = watched.before[0] + processes.age(process)
        minutes = orders.minutes_of(row, self.settings)
        with self.database.writing() as session:
            fresh = session.get(Experiment, row.id, with_for_update=True)
            if fresh is None:
                return
            fresh.seconds, fresh.cpu_seconds = seconds, watched.before[1] + used.cpu_seconds
            fresh.peak_memory = max(fresh.peak_memory, used.memory)
            if fresh.wish not in ("stop", "end"):
                if seconds > minutes * 60:
                    fresh.wish, fresh.reason = "end", f"it ran longer than its {minutes:g} minutes"
                elif used.memory > self.settings.EXPERIMENT_MEMORY_MB * 2**20:
                    most = self.settings.EXPERIMENT_MEMORY_MB
                    fresh.wish, fresh.reason = "end", f"it used more than EXPERIMENT_MEMORY_MB = {most} MB"
                    processes.send(process, signal.SIGKILL)  # at once, before it takes the machine's

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
        """Notes what became of an experiment whose process has ended, once nothing of it is left."""
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
            self._order_video(fresh)  # before it is written down that it has ended
            log.info("experiment %s is %s: %s", fresh.name, fresh.state, fresh.reason)
        del self._watched[row.id]

    def _order_video(self, row: Experiment) -> None:
        if row.state == "completed" and (self.folder / row.name / BEST).exists():
            try:
                self.media.order_experiment(row.name, title=f"{row.title} · best evaluation episode")
            except StorageFull as error:
                log.warning("there will be no video of experiment %s: %s", row.name, error)

    # --- what no row tells of -----------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Ends processes of experiments that were deleted with their account or project; their folders go after
        JOURNAL_DAYS, lest a database that was exchanged by mistake takes them with it."""
        if not self.folder.exists():
            return
        with self.database.reading() as session:
            known = set(session.scalars(select(Experiment.name)))
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
                if age > self.settings.JOURNAL_DAYS * 86400:
                    shutil.rmtree(path, ignore_errors=True)
                    self.media.forget_experiment(path.name)
