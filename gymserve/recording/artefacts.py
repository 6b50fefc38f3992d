"""Artefacts of submissions and experiments: videos and pictures, on the disk or in an S3-compatible bucket.

On the disk they are in `<data>/media/<submission>/` and `<data>/media/experiments/<experiment>/`, beside `media.json`, which
tells of them. Where there is a bucket they are copied into it, and removed from the disk once all of them are there.
"""

import json
import os
import shutil
from pathlib import Path
from typing import IO, Any

from gymserve import bucket
from gymserve.errors import NotFound, StorageFull
from gymserve.recording import film
from gymserve.recording.orders import SUBMISSION
from gymserve.settings import Settings

ABOUT = "media.json"
TYPES = {
    film.WEBM: "video/webm",
    film.MP4: "video/mp4",
    film.GIF: "image/gif",
    film.SMALL_MP4: "video/mp4",
    film.SMALL_JPG: "image/jpeg",
    film.POSTER: "image/jpeg",
}
OLD_ENDINGS = {film.GIF: ".gif", film.MP4: ".mp4", film.SMALL_MP4: "_thumb.mp4"}


def keys(submission: str, challenge: int, kind: str) -> list[str]:
    """An artefact's keys in a bucket: ours, and for three kinds the one that the osim-rl grader gave it."""
    old = [f"challenge_{challenge}/{submission}{OLD_ENDINGS[kind]}"] if kind in OLD_ENDINGS else []
    return [f"submissions/{submission}/{kind}", *old]


class Artefacts:
    """Args:
    folder: theirs.
    noun: whose they are, "submission" or "experiment".

    Raises:
        SettingsError: see `bucket.of`.
    """

    def __init__(self, folder: Path, settings: Settings, noun: str = SUBMISSION) -> None:
        self.folder, self.noun = folder, noun
        self.bucket = bucket.of(settings)

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
        desk = self.folder / f"{subject}.new"
        try:
            shutil.rmtree(desk, ignore_errors=True)
            desk.mkdir(parents=True, mode=0o700)
        except OSError as error:
            raise StorageFull(f"videos cannot be written: {error.strerror}") from error
        return desk

    def clear(self, subject: str) -> None:
        """Leaves nothing on the desk."""
        shutil.rmtree(self.folder / f"{subject}.new", ignore_errors=True)

    def publish(self, subject: str, about: dict[str, Any]) -> None:
        """What is on the desk becomes the subject's artefacts, with `about` beside them.

        Raises:
            StorageFull: there is no room.
        """
        desk, place = self.folder / f"{subject}.new", self.folder / subject
        try:
            files = {name: (desk / name).stat().st_size for name in TYPES if (desk / name).exists()}
            (desk / ABOUT).write_text(json.dumps({**about, "files": files}))
            shutil.rmtree(place, ignore_errors=True)
            os.rename(desk, place)
        except OSError as error:
            raise StorageFull(f"videos cannot be written: {error.strerror}") from error

    def discard(self, subject: str) -> None:
        """Forgets what was made; in a bucket it stands until it is replaced."""
        shutil.rmtree(self.folder / subject, ignore_errors=True)

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
