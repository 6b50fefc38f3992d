"""The journals and videos of submissions on the disk: how much an account may have, and for how long."""

import contextlib
import datetime
import re
import time
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from gymserve.grader.challenges.states import SubmissionState
from gymserve.grader.server.competitions.competition import Competition
from gymserve.hosts.folders import occupied
from gymserve.protocol.errors import LimitReached
from gymserve.recording.media import Media
from gymserve.store import Database
from gymserve.store.models import Submission, now

NAME = re.compile(r"[0-9a-f]{24}")  # matches names of submissions, and nothing else in the folders
BATCH = 500


class Storage:
    """Limits and deletes stored journals and videos.

    Args:
        data: the server's data directory.
        media: the videos; None for a server without videos.
        days: how long files are kept (SUBMISSION_DAYS).
        megabytes: the most that one account may use (ACCOUNT_STORAGE_MB).
    """

    def __init__(
        self,
        database: Database,
        competition: Competition,
        data: Path,
        media: Media | None,
        *,
        days: float,
        megabytes: float,
    ) -> None:
        self.database, self.competition, self.media = database, competition, media
        self.journals, self.videos = data / "submissions", data / "media"
        self.days, self.megabytes = days, megabytes

    def check(self, account_id: int | None) -> None:
        """Checks that an account has room for another submission. Without an account there is no limit.

        Raises:
            LimitReached: its submissions use all of the space that the settings allow.
        """
        if account_id is None:
            return
        with self.database.reading() as session:
            names = session.scalars(select(Submission.name).where(Submission.account_id == account_id)).all()
        if sum(self._bytes(name) for name in names) > self.megabytes * 2**20:
            raise LimitReached(
                f"the account's submissions take more than ACCOUNT_STORAGE_MB = {self.megabytes:g}; "
                f"their journals and videos are deleted after SUBMISSION_DAYS = {self.days:g}"
            )

    def _bytes(self, name: str) -> int:
        total = 0
        with contextlib.suppress(OSError):  # the submission has not ended, or its journal was deleted
            total += (self.journals / name).stat().st_blocks * 512
        with contextlib.suppress(OSError):  # the submission has no video
            total += occupied(self.videos / name)
        return total

    def sweep(self) -> None:
        """Deletes journals and videos SUBMISSION_DAYS after their submission and its phase ended, and those without a row."""
        for partial in self.journals.glob(".*"):  # left by a process that was killed
            if _age(partial) > 3600:
                partial.unlink(missing_ok=True)
        names = sorted({*self._old(self.journals), *self._old(self.videos)})
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            with self.database.reading() as session:
                rows = {row.name: row for row in session.scalars(select(Submission).where(Submission.name.in_(batch)))}
                kept = {name for name, row in rows.items() if not self._is_past(session, row)}
            for name in batch:
                if name not in kept:
                    self._remove(name, rows[name].challenge_id if name in rows else 0)

    def _old(self, folder: Path) -> list[str]:
        entries = folder.iterdir() if folder.exists() else ()
        return [path.name for path in entries if NAME.fullmatch(path.name) and _age(path) > self.days * 86400]

    def _is_past(self, session: Session, row: Submission) -> bool:
        if not SubmissionState(row.state).is_final:
            return False
        phase = self.competition.of_version(session, row.version_id).phase(row.phase)
        closes = self.competition.present(session, row.challenge_id, phase).closes
        return closes is None or closes < now() - datetime.timedelta(days=self.days)

    def _remove(self, name: str, challenge: int) -> None:
        if self.media is not None:
            self.media.remove_submission(name, challenge)
        (self.journals / name).unlink(missing_ok=True)


def _age(path: Path) -> float:
    """The age of a file in seconds, or 0 if it was deleted meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime
    return 0.0
