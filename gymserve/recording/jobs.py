"""Jobs for the process that makes videos, a file each.

A job is due at its file's modification time, so looking for work reads no file.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gymserve.system.spool import Spool

SUBMISSION, MONITOR, EXPERIMENT = "submission", "monitor", "experiment"


@dataclass(frozen=True)
class VideoJob:
    """A video to make.

    Args:
        kind: SUBMISSION, all trials of a journal; MONITOR, single episodes of a monitored instance; or EXPERIMENT, the
            best episode of an experiment's final evaluation.
        subject: the submission's or the experiment's name, or the instance's token.
        title: the caption's first line.
        challenge: a submission's challenge, by its number.
        directory: a monitor's folder.
        monitor: which of the instance's monitors, from 1.
        every: for a monitor: make a video of the first episode and of every Nth after it.
        attempts: how often the job was begun.
        reason: why the last attempt failed; "" if that is unknown, or there was none.
    """

    kind: str
    subject: str
    title: str = ""
    challenge: int = 0
    directory: str = ""
    monitor: int = 0
    every: int = 0
    attempts: int = 0
    reason: str = ""

    @property
    def file(self) -> str:
        """The name of the job's file; submissions sort before monitors, and monitors before experiments."""
        if self.kind == SUBMISSION:
            return f"1-{self.subject}"
        if self.kind == EXPERIMENT:
            return f"3-{self.subject}"
        return f"2-{self.subject}-{self.monitor}"


class VideoJobs(Spool[VideoJob]):
    """The queue of videos to make.

    Args:
        folder: where the jobs' files are; it is created with the first job.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, VideoJob, "a job for a video")

    def delay(self, job: VideoJob, seconds: float) -> None:
        """Postpones a job without rewriting its file, which works on a full disk too."""
        due = time.time() + seconds
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.folder / job.file, (due, due))

    def find(self, kind: str, subject: str) -> VideoJob | None:
        """The job for a subject; None if there is none."""
        return self.read(VideoJob(kind, subject).file)

    def has_work(self) -> bool:
        """Whether a job is due."""
        return next(self._due(), None) is not None

    def number(self) -> int:
        """The number of jobs, due or not."""
        return len(self.names())

    def next(self) -> VideoJob | None:
        """The due job that has waited longest, submissions first; None if no job is due."""
        for _, _, path in sorted(self._due()):
            if (job := self.read(path.name)) is not None:
                return job
            path.unlink(missing_ok=True)  # not a job's file
        return None

    def _due(self) -> Iterator[tuple[str, float, Path]]:
        """(first character of the name, due time, file) of each due job."""
        now = time.time()
        try:
            entries = list(os.scandir(self.folder))
        except FileNotFoundError:
            return
        for entry in entries:
            if not entry.name.startswith("."):  # a file that is being written
                with contextlib.suppress(FileNotFoundError):  # the job was finished in the meantime
                    if (due := entry.stat().st_mtime) <= now:
                        yield entry.name[0], due, Path(entry.path)
