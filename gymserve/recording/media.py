"""Videos as the rest of the server sees them: request one, ask for its status, open its files.

`recording.worker`, a process of its own, makes them.
"""

import importlib.util
import time
from collections.abc import Container
from pathlib import Path
from typing import IO

from gymserve.outside import bucket
from gymserve.outside.bucket import Bucket
from gymserve.protocol.wire import JSONObject
from gymserve.recording.jobs import EXPERIMENT, MONITOR, SUBMISSION, VideoJob, VideoJobs
from gymserve.recording.recordings import Recordings
from gymserve.settings import Settings

NONE, WAITING, MAKING, MADE, FAILED = "none", "waiting", "being made", "made", "failed"
FACTS = (
    "files", "width", "height", "frames", "frames_per_second", "seconds", "speed", "shown", "episodes", "complete", "agrees",
)  # fmt: skip


class Media:
    """The videos and pictures of a server.

    Args:
        data: the server's data directory.
        store: the bucket that files are uploaded to; None: they stay in the data directory.
        is_on: whether to make videos, if PyAV is installed.
    """

    def __init__(self, data: Path, store: Bucket | None = None, *, is_on: bool = True) -> None:
        self.data, self.bucket = data, store
        self.is_on = is_on and importlib.util.find_spec("av") is not None
        self.jobs = VideoJobs(data / "media" / "orders")  # the folder's name in existing data directories
        self.submissions = Recordings(data / "media", store)
        self.experiments = Recordings(data / "media" / "experiments", store, EXPERIMENT)

    @classmethod
    def of(cls, settings: Settings, data: Path) -> "Media":
        """The media of a server with these settings.

        Raises:
            SettingsError: the bucket's address is invalid, or the library for it is not installed.
        """
        return cls(data, bucket.of(settings), is_on=settings.MEDIA)

    def request_submission_video(self, submission: str, *, title: str, challenge: int, again: bool = False) -> None:
        """Queues a video of a submission whose journal is kept, unless it has one.

        Args:
            again: delete the video that there is, and make a new one.

        Raises:
            StorageFull: the disk is full.
        """
        if again:
            self.submissions.discard(submission)
        if self.is_on and self.submissions.metadata(submission) is None:
            self.jobs.put(VideoJob(SUBMISSION, submission, title, challenge))

    def request_experiment_video(self, experiment: str, *, title: str) -> None:
        """Queues a video of an experiment's best episode, unless it has one.

        Raises:
            StorageFull: the disk is full.
        """
        if self.is_on and self.experiments.metadata(experiment) is None:
            self.jobs.put(VideoJob(EXPERIMENT, experiment, title))

    def request_monitor_videos(self, token: str, *, title: str, directory: str, monitor: int, every: int) -> None:
        """Queues videos of every Nth episode of a monitor.

        Raises:
            StorageFull: the disk is full.
        """
        if self.is_on and every:
            self.jobs.put(VideoJob(MONITOR, token, title, 0, directory, monitor, every))

    def remove_experiment(self, experiment: str) -> None:
        """Deletes an experiment's video and its job, because the experiment was deleted or starts from scratch."""
        self.jobs.remove(VideoJob(EXPERIMENT, experiment))
        self.experiments.remove(experiment)

    def remove_submission(self, submission: str, challenge: int) -> None:
        """Deletes a submission's video and its job, because they were kept long enough."""
        self.jobs.remove(VideoJob(SUBMISSION, submission))
        self.submissions.remove(submission, challenge)

    def sweep_experiments(self, known: Container[str], days: float) -> None:
        """Deletes the videos of experiments that are not `known` any more, once they are `days` old."""
        folder = self.experiments.folder
        for path in folder.iterdir() if folder.exists() else ():
            if path.name not in known and path.suffix != ".new" and path.stat().st_mtime < time.time() - days * 86400:
                self.remove_experiment(path.name)

    def recordings(self, kind: str) -> Recordings:
        """The recordings of a job's kind."""
        return self.experiments if kind == EXPERIMENT else self.submissions

    def has_work(self) -> bool:
        """Whether a video is due to be made or uploaded."""
        return self.is_on and self.jobs.has_work()

    def status(self, subject: str, kind: str = SUBMISSION) -> JSONObject:
        """`{"state": …, "reason": …, "files": {name: bytes}, …}` of a submission's or an experiment's video."""
        metadata, job = self.recordings(kind).metadata(subject), self.jobs.find(kind, subject)
        status: JSONObject = {"state": NONE, "reason": "" if self.is_on else self._why_off(), "files": {}}
        if metadata is not None:
            status |= {name: metadata[name] for name in FACTS if name in metadata}
            status |= {"state": metadata["state"], "reason": metadata["reason"]}
            if job is not None and metadata["state"] == MADE and not job.attempts:
                status["reason"] = job.reason  # it waits to be uploaded
        elif job is not None:
            status |= {
                "state": MAKING if job.attempts else WAITING,
                "reason": job.reason if job.attempts != 1 else "",
            }
        return status

    def _why_off(self) -> str:
        if importlib.util.find_spec("av") is None:
            return "videos need PyAV on the server: pip install 'gymserve[media]'"
        return "the server makes no videos: MEDIA is off"

    def open(self, subject: str, file: str, kind: str = SUBMISSION) -> tuple[IO[bytes], int]:
        """Opens a file of a subject, see `Recordings.open`."""
        return self.recordings(kind).open(subject, file)
