"""Artefacts of submissions and experiments: videos and pictures, on the disk or in an S3-compatible bucket.

On the disk they are in `<data>/media/<submission>/` and `<data>/media/experiments/<experiment>/`, beside `media.json`, which
tells of them. Where there is a bucket they are copied into it, and removed from the disk once all of them are there.
"""

import json
import logging
import os
import shutil
from pathlib import Path
from typing import IO, Any

from gymserve.outside.bucket import Bucket
from gymserve.protocol.errors import NotFound, StorageFull, Unavailable
from gymserve.recording.jobs import SUBMISSION
from gymserve.recording.video import rendering
from gymserve.system import files

log = logging.getLogger("gymserve.recording")
ABOUT = "media.json"
TYPES = {
    rendering.WEBM: "video/webm",
    rendering.MP4: "video/mp4",
    rendering.GIF: "image/gif",
    rendering.SMALL_MP4: "video/mp4",
    rendering.SMALL_JPG: "image/jpeg",
    rendering.POSTER: "image/jpeg",
}
OLD_ENDINGS = {rendering.GIF: ".gif", rendering.MP4: ".mp4", rendering.SMALL_MP4: "_thumb.mp4"}


def keys(submission: str, challenge: int, kind: str) -> list[str]:
    """An artefact's keys in a bucket: ours, and for three kinds the one that the osim-rl grader gave it."""
    old = [f"challenge_{challenge}/{submission}{OLD_ENDINGS[kind]}"] if kind in OLD_ENDINGS else []
    return [f"submissions/{submission}/{kind}", *old]


class Artefacts:
    """Videos and pictures of submissions, or of experiments.

    Args:
        folder: theirs.
        bucket: where they are kept in the end; None: in the folder.
        noun: whose they are, "submission" or "experiment".
    """

    def __init__(self, folder: Path, bucket: Bucket | None, noun: str = SUBMISSION) -> None:
        self.folder, self.bucket, self.noun = folder, bucket, noun

    def about(self, subject: str) -> dict[str, Any] | None:
        """What `media.json` tells; None: nothing was made yet."""
        try:
            told: dict[str, Any] = json.loads((self.folder / subject / ABOUT).read_text())
        except (OSError, ValueError):
            return None
        return told

    def desk(self, subject: str) -> Path:
        """An empty folder to make its artefacts in.

        Raises:
            StorageFull: there is no room.
        """
        try:
            return files.draft(self.folder / subject)
        except OSError as error:
            raise StorageFull(f"videos cannot be written: {error.strerror}") from error

    def clear(self, subject: str) -> None:
        """Leaves nothing on the desk."""
        files.discard(self.folder / subject)

    def publish(self, subject: str, about: dict[str, Any]) -> None:
        """What is on the desk becomes the subject's artefacts, with `about` beside them.

        Raises:
            StorageFull: there is no room.
        """
        place = self.folder / subject
        desk = files.draft_of(place)
        try:
            sizes = {name: (desk / name).stat().st_size for name in TYPES if (desk / name).exists()}
            (desk / ABOUT).write_text(json.dumps({**about, "files": sizes}))
            shutil.rmtree(place, ignore_errors=True)
            files.publish(place)
        except OSError as error:
            raise StorageFull(f"videos cannot be written: {error.strerror}") from error

    def discard(self, subject: str) -> None:
        """Forgets what was made; in a bucket it stands until it is replaced."""
        shutil.rmtree(self.folder / subject, ignore_errors=True)

    def remove(self, subject: str, challenge: int = 0) -> None:
        """Deletes what was made, in the bucket as well; what that does not let go stays there, which is logged."""
        files = (self.about(subject) or {}).get("files", {})
        if self.bucket is not None and files:
            try:
                self.bucket.remove([key for kind in files for key in self._keys(subject, challenge, kind)])
            except Unavailable as error:
                log.warning("videos of %s %s stay in the bucket: %s", self.noun, subject, error)
        self.discard(subject)

    def store(self, subject: str, challenge: int) -> None:
        """Copies the artefacts into the bucket, if there is one, and frees the disk of them; again: does nothing more.

        Raises:
            Unavailable: the bucket does not take them; they are all on the disk yet.
        """
        if self.bucket is None:
            return
        files = [(kind, self.folder / subject / kind) for kind in TYPES]
        files = [(kind, file) for kind, file in files if file.exists()]
        for kind, file in files:
            for key in self._keys(subject, challenge, kind):
                self.bucket.put(key, file, TYPES[kind])
        for _, file in files:
            file.unlink()

    def open(self, subject: str, kind: str) -> tuple[IO[bytes], int]:
        """(an artefact's file, its size in bytes).

        Raises:
            NotFound: there is none.
            Unavailable: the bucket does not answer.
        """
        if kind not in TYPES:
            raise NotFound(f"there is no {kind:.50}: there are {', '.join(TYPES)}")
        about = self.about(subject)
        if about is None or kind not in about.get("files", {}):
            raise NotFound(f"{self.noun} {subject:.50} has no {kind}")
        try:
            file = (self.folder / subject / kind).open("rb")
            return file, os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            if self.bucket is None:
                raise NotFound(f"{self.noun} {subject:.50} has no {kind} any more") from None
        return self.bucket.open(self._keys(subject, 0, kind)[0])

    def _keys(self, subject: str, challenge: int, kind: str) -> list[str]:
        return keys(subject, challenge, kind) if self.noun == SUBMISSION else [f"{self.noun}s/{subject}/{kind}"]
