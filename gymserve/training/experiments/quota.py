"""Quotas on what an account may keep: projects, experiments and models, and the disk space that they use."""

import contextlib
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gymserve.hosts.folders import occupied
from gymserve.protocol.errors import LimitReached
from gymserve.store import Database
from gymserve.store.models import Experiment, Policy, Project

NOUNS: dict[type[Project | Experiment | Policy], str] = {
    Project: "projects",
    Experiment: "experiments",
    Policy: "models",
}


class Quota:
    """The quotas of one server, the same for every account.

    Args:
        data: the data directory, with the files that belong to database rows.
        kept: how many rows of each kind an account may have.
        megabytes: how much disk space its experiments and models may use.
    """

    def __init__(
        self, database: Database, data: Path, *, kept: float = float("inf"), megabytes: float = float("inf")
    ) -> None:
        self.database, self.data, self.kept, self.megabytes = database, data, kept, megabytes

    def check(self, account_id: int | None, kind: type[Project | Experiment | Policy]) -> None:
        """Check that an account may have one more; without accounts there are no limits.

        Raises:
            LimitReached: a quota is used up.
        """
        if account_id is None:
            return
        with self.database.reading() as session:
            number = session.scalar(select(func.count()).where(kind.account_id == account_id)) or 0
            used = 0 if kind is Project else self._bytes(session, account_id)
        if number >= self.kept:
            raise LimitReached(f"an account may keep ACCOUNT_KEPT = {self.kept:g} {NOUNS[kind]}: delete some")
        if used > self.megabytes * 2**20:
            raise LimitReached(
                f"the account's experiments and models take more than ACCOUNT_STORAGE_MB = {self.megabytes:g}: delete some"
            )

    def _bytes(self, session: Session, account_id: int) -> int:
        total = 0
        for kind, folder in ((Experiment, "experiments"), (Experiment, "media/experiments"), (Policy, "models")):
            for name in session.scalars(select(kind.name).where(kind.account_id == account_id)):
                with contextlib.suppress(OSError):  # never started, or being deleted
                    total += occupied(self.data / folder / name)
        return total
