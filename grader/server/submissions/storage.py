"""What submissions keep on the disk, their journals and videos: how much of one account, and for how long."""

import contextlib
import datetime
import re
import time
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from grader.challenges.states import SubmissionState
from grader.server.competitions.competition import Competition
from gymserve.hosts.folders import occupied
from gymserve.protocol.errors import LimitReached
from gymserve.recording.media import Media
from gymserve.store import Database
from gymserve.store.models import Submission, now

NAME = re.compile(r"[0-9a-f]{24}")  # a submission's, and of nothing else in the folders of journals and videos
BATCH = 500


class Storage:
    """Args:
    data: the server's data directory.
    media: where videos are; None: there are none.
    days: how long they are kept; SUBMISSION_DAYS.
    megabytes: of one account at most; ACCOUNT_STORAGE_MB.
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
        """Whether an account may have one more submission; without accounts there are no limits.

        Raises:
            LimitReached: its submissions take as much as the settings allow.
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
        with contextlib.suppress(OSError):  # it goes on yet, or was deleted
            total += (self.journals / name).stat().st_blocks * 512
        with contextlib.suppress(OSError):  # it has no video
            total += occupied(self.videos / name)
        return total

    def sweep(self) -> None:
        """Deletes journals and videos of submissions that ended SUBMISSION_DAYS ago, if their phase was over by then; and
        those that no row tells of."""
        for half in self.journals.glob(".*"):  # of a process that was killed
            if _age(half) > 3600:
                half.unlink(missing_ok=True)
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
        own = self.competition.of_version(session, row.version_id).phase(row.phase)
        closes = self.competition.present(session, row.challenge_id, own).closes
        return closes is None or closes < now() - datetime.timedelta(days=self.days)

    def _remove(self, name: str, challenge: int) -> None:
        if self.media is not None:
            self.media.remove_submission(name, challenge)
        (self.journals / name).unlink(missing_ok=True)


def _age(path: Path) -> float:
    """Seconds; 0: it was replaced in the meantime."""
    with contextlib.suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime
    return 0.0
