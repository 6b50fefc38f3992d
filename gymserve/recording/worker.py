"""`python -m gymserve.recording.worker`: the background process that makes videos, at a low priority.

It reads the server's settings as JSON from standard input, and ends when standard input is closed, so it does not outlive
the process that started it.
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

import psutil

from gymserve.journal import episodes_of
from gymserve.recording import priority

if __name__ == "__main__":
    priority.lower()  # before the simulators are imported, which takes seconds

from gymserve import environments
from gymserve.hosts import child_processes
from gymserve.protocol.errors import GymserveError, StorageFull, Unavailable
from gymserve.recording import monitor_videos
from gymserve.recording.jobs import MONITOR, SUBMISSION, VideoJob
from gymserve.recording.media import FAILED, MADE, Media
from gymserve.recording.video.episodes import records_of
from gymserve.recording.video.rendering import Progress, VideoSpec, render_video
from gymserve.system.background import ATTEMPTS, begin, work

DISK_FULL_SECONDS = 60.0  # before another attempt on a full disk
RETRY_SECONDS = (1.0, 300.0)  # before another attempt to reach the bucket: doubles from the first to the second
SILENT_SECONDS = 300.0  # the longest that one picture may take; generous, since other processes have priority
CRASHED = f"rendering ended the process that it ran in, or took {SILENT_SECONDS:g} s over one picture"
MEMORY_CHECK_SECONDS = 0.25
log = logging.getLogger("gymserve.recording")


def main() -> int:
    """Makes videos until there has been no job for a while."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a KeyboardInterrupt can then only come from an environment
    child_processes.become_subreaper()
    workers: list[VideoWorker] = []

    def end() -> None:
        for worker in workers:
            worker.give_back_attempt()
        child_processes.kill_all()

    configuration = begin(at_end=end)
    catalogue = environments.Catalogue.of(configuration)
    worker = VideoWorker(
        Media.of(configuration, Path(configuration.DATA).resolve()),
        catalogue,
        seconds=configuration.MEDIA_SECONDS,
        work_seconds=configuration.MEDIA_WORK_SECONDS,
        memory_mb=configuration.MEDIA_MEMORY_MB,
    )
    workers.append(worker)
    work(worker.run_due_jobs)
    child_processes.kill_all()
    return 0


class VideoWorker:
    """Runs video jobs, one at a time.

    Args:
        seconds: the longest that a video may be.
        work_seconds: processor time for making one.
        memory_mb: memory for making one.
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
        self._begun: VideoJob | None = None  # the job whose video is being made
        self._waits: dict[str, float] = {}  # a job's file → seconds before the next attempt to reach the bucket

    def give_back_attempt(self) -> None:
        """Does not count the attempt that is being made, for a server that stops in the middle of it."""
        if (job := self._begun) is not None:
            self.media.jobs.put(replace(job, attempts=job.attempts - 1))

    def run_due_jobs(self) -> bool:
        """Runs the jobs that are due; returns whether there were any."""
        was_due = False
        while (job := self.media.jobs.next()) is not None:
            self.run_job(job)
            was_due = True
        return was_due

    def run_job(self, job: VideoJob) -> None:
        """Does the next part of a job. The result, or the failure, is written before the job is removed."""
        try:
            if job.kind == MONITOR:
                self._make_monitor_video(job)
            else:
                self._make_recordings(job)
        except StorageFull as error:
            log.warning("%s", error)
            self.media.recordings(job.kind).discard_draft(job.subject)
            try:
                self._postpone(job, str(error), DISK_FULL_SECONDS)
            except StorageFull:
                self.media.jobs.delay(job, DISK_FULL_SECONDS)
        except Unavailable as error:
            wait = self._waits[job.file] = min(RETRY_SECONDS[1], 2 * self._waits.get(job.file, RETRY_SECONDS[0] / 2))
            log.warning("the video of %s waits %g s to be stored: %s", job.subject, wait, error)
            self._postpone(job, f"waiting to be stored: {error}", wait)

    def _postpone(self, job: VideoJob, reason: str, seconds: float) -> None:
        self.media.jobs.put(replace(job, attempts=0, reason=reason), wait_seconds=seconds)

    def _make_recordings(self, job: VideoJob) -> None:
        """Makes and uploads the recordings of one journal: a submission's trials, or an experiment's best episode."""
        recordings = self.media.recordings(job.kind)
        if recordings.metadata(job.subject) is None:
            if job.attempts >= ATTEMPTS:
                self._give_up(job, f"given up after {ATTEMPTS} attempts: {job.reason}")
            else:
                self._render(self.media.jobs.begin(job, reason=CRASHED))
        recordings.upload(job.subject, job.challenge)
        self._waits.pop(job.file, None)
        self.media.jobs.remove(job)

    def _render(self, job: VideoJob) -> None:
        draft = self.media.recordings(job.kind).draft(job.subject)
        try:
            spec = self._spec(job)
            with self._limited(job) as beat:
                metadata = render_video(spec, self.catalogue, draft, progress=beat)
        except StorageFull:
            raise
        except (GymserveError, FileNotFoundError) as error:
            self._give_up(job, str(error) if isinstance(error, GymserveError) else "its journal is gone")
        except Exception as error:  # from an encoder or a picture library
            if shutil.disk_usage(draft).free < 1 << 20:
                raise StorageFull("videos cannot be written: the disk is full") from error
            self._give_up(job, f"making it raised {type(error).__name__}")
        else:
            self.media.recordings(job.kind).publish(job.subject, {"state": MADE, "reason": "", **metadata})
            frames, seconds = metadata["frames"], metadata["work_seconds"]
            log.info("made the video of %s %s: %d frames in %g s", job.kind, job.subject, frames, seconds)

    def _spec(self, job: VideoJob) -> VideoSpec:
        """The video that a job asks for.

        Raises:
            FileNotFoundError: the journal is gone.
            InvalidRequest: the file is not a journal.
        """
        if job.kind == SUBMISSION:
            journal, noun = self.media.data / "submissions" / job.subject, "trial"
        else:
            journal, noun = self.media.data / "experiments" / job.subject / "best.journal", "episode"
        episodes = [episode for episode in episodes_of(records_of(journal)) if episode.steps]
        number = len(episodes[0].recipe.trials) if episodes and job.kind == SUBMISSION else None
        return VideoSpec(job.title, episodes, noun, number, self.seconds, self.work_seconds)

    def _give_up(self, job: VideoJob, reason: str) -> None:
        log.warning("the video of %s %s cannot be made: %s", job.kind, job.subject, reason)
        self.media.recordings(job.kind).draft(job.subject)
        self.media.recordings(job.kind).publish(job.subject, {"state": FAILED, "reason": reason})

    def _make_monitor_video(self, job: VideoJob) -> None:
        """Makes one of a monitor's videos; the job then queues behind the others."""
        skip = job.reason if job.attempts >= ATTEMPTS else ""
        begun = job if skip else self.media.jobs.begin(job, reason=CRASHED)
        with self._limited(begun) as beat:
            has_more = monitor_videos.make_next(
                begun,
                self.media.data,
                self.catalogue,
                seconds=self.seconds,
                work_seconds=self.work_seconds,
                skip=skip,
                progress=beat,
            )
        if has_more:
            self._postpone(job, "", 0.0)
        else:
            self.media.jobs.remove(job)

    @contextlib.contextmanager
    def _limited(self, job: VideoJob) -> Iterator[Progress]:
        """Kills this process if one picture takes too long or too much memory; the job then counts a failed attempt.

        Yields a function to call after each picture. The kernel's alarm ends the process even inside an environment's
        native code.
        """
        over = threading.Event()
        self._begun = job

        def beat(written: int = 0, planned: int = 0) -> None:
            signal.setitimer(signal.ITIMER_REAL, SILENT_SECONDS)

        def watch() -> None:
            most = self.memory_mb
            while not over.wait(MEMORY_CHECK_SECONDS):
                if (used := _memory_mb()) > most:
                    log.warning("the video of %s takes %d MB of memory", job.subject, used)
                    self.media.jobs.put(replace(job, reason=f"it took more than MEDIA_MEMORY_MB = {most:g} MB"))
                    os._exit(1)

        beat()
        threading.Thread(target=watch, daemon=True).start()
        try:
            yield beat
        finally:
            self._begun = None
            over.set()
            signal.setitimer(signal.ITIMER_REAL, 0)


def _memory_mb() -> float:
    with contextlib.suppress(OSError):  # no descriptor is free
        return psutil.Process().memory_info().rss / 2**20
    return 0.0


if __name__ == "__main__":
    sys.exit(main())
