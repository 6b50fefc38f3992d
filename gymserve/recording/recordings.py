"""Recordings of submissions and experiments: videos and pictures, on the disk or in an S3-compatible bucket.

On the disk they are in `<data>/media/<submission>/` and `<data>/media/experiments/<experiment>/`, beside their metadata,
`media.json`. If there is a bucket, they are uploaded to it, and deleted from the disk once all of them are there.
"""

import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from gymserve.outside.bucket import Bucket
from gymserve.protocol.errors import NotFound, StorageFull, Unavailable
from gymserve.protocol.wire import JSONObject
from gymserve.recording.jobs import SUBMISSION
from gymserve.recording.video import rendering
from gymserve.system import files

log = logging.getLogger("gymserve.recording")
METADATA = "media.json"
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
    """A file's keys in a bucket: ours, and for three kinds the key that the osim-rl grader used."""
    old = [f"challenge_{challenge}/{submission}{OLD_ENDINGS[kind]}"] if kind in OLD_ENDINGS else []
    return [f"submissions/{submission}/{kind}", *old]


class Recordings:
    """Videos and pictures of submissions, or of experiments.

    Args:
        folder: has a folder for each subject.
        bucket: where files are uploaded to; None: they stay in the folder.
        noun: what a subject is, "submission" or "experiment".
    """

    def __init__(self, folder: Path, bucket: Bucket | None, noun: str = SUBMISSION) -> None:
        self.folder, self.bucket, self.noun = folder, bucket, noun

    def metadata(self, subject: str) -> JSONObject | None:
        """The content of `media.json`; None if nothing was made yet."""
        try:
            metadata: JSONObject = json.loads((self.folder / subject / METADATA).read_text())
        except (OSError, ValueError):
            return None
        return metadata

    def draft(self, subject: str) -> Path:
        """Makes an empty folder, whose files `publish` turns into the subject's recordings.

        Raises:
            StorageFull: the disk is full.
        """
        try:
            return files.draft(self.folder / subject)
        except OSError as error:
            raise StorageFull(f"videos cannot be written: {error.strerror}") from error

    def discard_draft(self, subject: str) -> None:
        """Deletes the draft folder, if there is one."""
        files.discard(self.folder / subject)

    def publish(self, subject: str, metadata: Mapping[str, object]) -> None:
        """Replaces the subject's recordings with the files in the draft folder, and adds `metadata`.

        Raises:
            StorageFull: the disk is full.
        """
        target = self.folder / subject
        draft = files.draft_of(target)
        try:
            sizes = {name: (draft / name).stat().st_size for name in TYPES if (draft / name).exists()}
            (draft / METADATA).write_text(json.dumps({**metadata, "files": sizes}))
            shutil.rmtree(target, ignore_errors=True)
            files.publish(target)
        except OSError as error:
            raise StorageFull(f"videos cannot be written: {error.strerror}") from error

    def discard(self, subject: str) -> None:
        """Deletes the files on the disk; those in a bucket stay until they are replaced."""
        shutil.rmtree(self.folder / subject, ignore_errors=True)

    def remove(self, subject: str, challenge: int = 0) -> None:
        """Deletes the files on the disk and in the bucket; a bucket's refusal is logged, and its files stay."""
        files = (self.metadata(subject) or {}).get("files", {})
        if self.bucket is not None and files:
            try:
                self.bucket.remove([key for kind in files for key in self._keys(subject, challenge, kind)])
            except Unavailable as error:
                log.warning("videos of %s %s stay in the bucket: %s", self.noun, subject, error)
        self.discard(subject)

    def upload(self, subject: str, challenge: int) -> None:
        """Uploads the files to the bucket, if there is one, and deletes them from the disk; safe to repeat.

        Raises:
            Unavailable: the bucket does not accept them; all of them are still on the disk.
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
        """Opens a file; returns it with its size in bytes.

        Raises:
            NotFound: the subject has no such file.
            Unavailable: the bucket does not answer.
        """
        if kind not in TYPES:
            raise NotFound(f"there is no {kind:.50}: there are {', '.join(TYPES)}")
        metadata = self.metadata(subject)
        if metadata is None or kind not in metadata.get("files", {}):
            raise NotFound(f"{self.noun} {subject:.50} has no {kind}")
        try:
            file = (self.folder / subject / kind).open("rb")
            return file, os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            if self.bucket is None:
                raise NotFound(f"{self.noun} {subject:.50} no longer has {kind}") from None
        return self.bucket.open(self._keys(subject, 0, kind)[0])

    def _keys(self, subject: str, challenge: int, kind: str) -> list[str]:
        return keys(subject, challenge, kind) if self.noun == SUBMISSION else [f"{self.noun}s/{subject}/{kind}"]
