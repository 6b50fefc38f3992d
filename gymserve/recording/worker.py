"""`python -m gymserve.recording.worker`: the background process that makes videos, with a small share of the processors.

It reads the server's settings as JSON from standard input, and ends with it: whoever started it holds the other end.
"""

import contextlib
import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gymserve.journal import episodes_of
from gymserve.recording import priority

if __name__ == "__main__":
    priority.step_back()  # before the simulators are imported

from gymserve import environments
from gymserve.hosts import offspring
from gymserve.protocol.errors import GymserveError, StorageFull, Unavailable
from gymserve.recording import monitor_videos
from gymserve.recording.jobs import MONITOR, SUBMISSION, Order
from gymserve.recording.media import FAILED, MADE, Media
from gymserve.recording.video.episodes import records_of
from gymserve.recording.video.rendering import Film, Progress, shoot
from gymserve.system.background import ATTEMPTS, begin, work

FULL_SECONDS = 60.0  # until a full disk is tried again
RETRY_SECONDS = (1.0, 300.0)  # until a bucket is: doubled from the first to the second
SILENT_SECONDS = 300.0  # that one picture may take, also while others want the processor
FATE = f"rendering ended the process that it ran in, or took {SILENT_SECONDS:g} s over one picture"
LOOK_SECONDS = 0.25  # at the memory
log = logging.getLogger("gymserve.recording")


def main() -> int:
    """Works until there has been nothing to do for a while."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # so that an environment's KeyboardInterrupt is known for its own
    offspring.adopt()
    configuration = begin(at_end=offspring.end_all)
    catalogue = environments.Catalogue.of(configuration)
    worker = Worker(
        Media.of(configuration, Path(configuration.DATA).resolve()),
        catalogue,
        seconds=configuration.MEDIA_SECONDS,
        work_seconds=configuration.MEDIA_WORK_SECONDS,
        memory_mb=configuration.MEDIA_MEMORY_MB,
    )
    work(worker.look)
    offspring.end_all()
    return 0


class Worker:
    """Carries out orders, one at a time.

    Args:
        seconds: how long a video may be.
        work_seconds: how long making it may take.
        memory_mb: how much memory it may take.
    """

    def __init__(
        self,
        media: Media,
        catalogue: environments.Catalogue,
        *,
        seconds: float,
        work_seconds: float,
        memory_mb: float,
    ) -> None:
        self.media, self.catalogue = media, catalogue
        self.seconds, self.work_seconds, self.memory_mb = seconds, work_seconds, memory_mb
        self._waits: dict[str, float] = {}  # an order's file → seconds until the bucket is tried again

    def look(self) -> bool:
        """Carries out the orders that are due; whether there were any."""
        was_due = False
        while (order := self.media.orders.next()) is not None:
            self.carry_out(order)
            was_due = True
        return was_due

    def carry_out(self, order: Order) -> None:
        """Does what is to be done next for an order. What was made, or given up, is written down before it is done with."""
        try:
            if order.kind == MONITOR:
                self._monitor(order)
            else:
                self._journal(order)
        except StorageFull as error:
            log.warning("%s", error)
            self.media.shelf(order.kind).clear(order.subject)
            try:
                self._put_off(order, str(error), FULL_SECONDS)
            except StorageFull:
                self.media.orders.delay(order, FULL_SECONDS)
        except Unavailable as error:
            wait = self._waits[order.file] = min(
                RETRY_SECONDS[1], 2 * self._waits.get(order.file, RETRY_SECONDS[0] / 2)
            )
            log.warning("the video of %s waits %g s to be stored: %s", order.subject, wait, error)
            self._put_off(order, f"waiting to be stored: {error}", wait)

    def _put_off(self, order: Order, reason: str, seconds: float) -> None:
        self.media.orders.place(replace(order, attempts=0, reason=reason), wait_seconds=seconds)

    def _journal(self, order: Order) -> None:
        """The episodes of one journal: a submission's trials, or an experiment's best episode."""
        artefacts = self.media.shelf(order.kind)
        if artefacts.about(order.subject) is None:
            if order.attempts >= ATTEMPTS:
                self._give_up(order, f"given up after {ATTEMPTS} attempts: {order.reason}")
            else:
                self._film(self.media.orders.begin(order, reason=FATE))
        artefacts.store(order.subject, order.challenge)
        self._waits.pop(order.file, None)
        self.media.orders.done(order)

    def _film(self, order: Order) -> None:
        desk = self.media.shelf(order.kind).desk(order.subject)
        try:
            film = self._planned(order)
            with self._bounded(order) as beat:
                about = shoot(film, self.catalogue, desk, progress=beat)
        except StorageFull:
            raise
        except (GymserveError, FileNotFoundError) as error:
            self._give_up(order, str(error) if isinstance(error, GymserveError) else "its journal is gone")
        except Exception as error:  # an encoder's, a picture library's
            if shutil.disk_usage(desk).free < 1 << 20:
                raise StorageFull("videos cannot be written: the disk is full") from error
            self._give_up(order, f"making it raised {type(error).__name__}")
        else:
            self.media.shelf(order.kind).publish(order.subject, {"state": MADE, "reason": "", **about})
            log.info(
                "%s %s is filmed: %d frames in %g s", order.kind, order.subject, about["frames"], about["work_seconds"]
            )

    def _planned(self, order: Order) -> Film:
        """Raises: FileNotFoundError: its journal is gone. InvalidRequest: it is none."""
        if order.kind == SUBMISSION:
            journal, noun = self.media.data / "submissions" / order.subject, "trial"
        else:
            journal, noun = self.media.data / "experiments" / order.subject / "best.journal", "episode"
        episodes = [episode for episode in episodes_of(records_of(journal)) if episode.steps]
        number = len(episodes[0].recipe.trials) if episodes and order.kind == SUBMISSION else None
        return Film(order.title, episodes, noun, number, self.seconds, self.work_seconds)

    def _give_up(self, order: Order, reason: str) -> None:
        log.warning("%s %s cannot be filmed: %s", order.kind, order.subject, reason)
        self.media.shelf(order.kind).desk(order.subject)
        self.media.shelf(order.kind).publish(order.subject, {"state": FAILED, "reason": reason})

    def _monitor(self, order: Order) -> None:
        """One video; the order then waits behind the others."""
        skip = order.reason if order.attempts >= ATTEMPTS else ""
        begun = order if skip else self.media.orders.begin(order, reason=FATE)
        with self._bounded(begun) as beat:
            is_more = monitor_videos.shoot_next(
                begun,
                self.media.data,
                self.catalogue,
                seconds=self.seconds,
                work_seconds=self.work_seconds,
                skip=skip,
                progress=beat,
            )
        if is_more:
            self._put_off(order, "", 0.0)
        else:
            self.media.orders.done(order)

    @contextlib.contextmanager
    def _bounded(self, order: Order) -> Iterator[Progress]:
        """Ends the process where it falls silent or takes too much memory; the order then counts one attempt.

        Gives what is to be called with each picture. The kernel's alarm ends the process in the midst of an environment's
        own code as well.
        """
        over = threading.Event()

        def beat(made: int = 0, number: int = 0) -> None:
            signal.setitimer(signal.ITIMER_REAL, SILENT_SECONDS)

        def watch() -> None:
            most = self.memory_mb
            while not over.wait(LOOK_SECONDS):
                if (used := _memory_mb()) > most:
                    log.warning("the video of %s takes %d MB of memory", order.subject, used)
                    self.media.orders.place(replace(order, reason=f"it took more than MEDIA_MEMORY_MB = {most:g} MB"))
                    os._exit(1)

        beat()
        threading.Thread(target=watch, daemon=True).start()
        try:
            yield beat
        finally:
            over.set()
            signal.setitimer(signal.ITIMER_REAL, 0)


def _memory_mb() -> float:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return 0.0


if __name__ == "__main__":
    sys.exit(main())
