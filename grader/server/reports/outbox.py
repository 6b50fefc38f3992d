"""The outbox: what a challenge server elsewhere is to be told, kept in the database until it has heard it.

A report is written in the transaction that changes its submission, and sent afterwards, again and again, later and later,
until the server took or refused it. A submission's reports go out in their order; one that waits holds up no other's.

Sent more than once, a report changes nothing: the server is asked first whether it has the submission already, and a score
goes to one submission there, by its id.
"""

import base64
import datetime
import json
import math
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, aliased

from grader.challenges import seeds
from grader.challenges.states import SubmissionState
from grader.server.reports import FAILED, GRADED
from grader.server.reports.crowdai import CrowdAI, Refused
from gymserve.protocol.errors import Unavailable
from gymserve.settings import Settings
from gymserve.store import Database, rows_changed
from gymserve.store.models import Challenge, RemoteEntry, Report, Submission, now

WAITING, SENT, REFUSED, GIVEN_UP = "waiting", "sent", "refused", "given up"
BEGUN, ENDED = 0, 1
GRACE = datetime.timedelta(seconds=40)  # in which whoever sends a report has sent it, or was killed
LONGEST_WAIT = 3600.0


class Outbox:
    """Args:
    server: where reports go; None: nowhere, and those that wait go on waiting.
    days: after which a report is given up.
    """

    def __init__(self, database: Database, server: CrowdAI | None, data: Path, *, days: float = 7.0) -> None:
        self.database, self.server = database, server
        self._key = data / "reporting-key"
        self._days = datetime.timedelta(days=days)

    @classmethod
    def of(cls, settings: Settings, database: Database, data: Path) -> "Outbox":
        """The outbox of a server.

        Raises:
            SettingsError: what they say of the challenge server cannot be.
        """
        return cls(database, CrowdAI.of(settings), data, days=settings.REPORT_DAYS)

    # --- writing, in a transaction that changes a submission -----------------------------------------------------------

    def begin(self, session: Session, submission_id: int, key: str) -> None:
        """Notes that a submission has begun, of the participant with this key on the challenge server."""
        session.add(RemoteEntry(submission_id=submission_id, sealed_key=self._seal().encrypt(key.encode()).decode()))
        session.add(Report(submission_id=submission_id, number=BEGUN, next_at=now() + GRACE))

    def end(self, session: Session, submission_id: int) -> None:
        """Notes that it is known what became of a submission; nothing, where it is not to be reported."""
        entry = select(RemoteEntry.id).where(RemoteEntry.submission_id == submission_id)
        if session.scalar(entry) is None:
            return
        begun = select(Report).where(Report.submission_id == submission_id, Report.number == BEGUN)
        first = session.scalars(begun).one()
        if first.state == WAITING and first.attempts == 0:
            first.next_at = now()
        session.add(Report(submission_id=submission_id, number=ENDED))

    def drop(self, session: Session, submission_id: int) -> None:
        """Takes back that a submission has begun, of which nobody was told."""
        session.execute(delete(Report).where(Report.submission_id == submission_id))
        session.execute(delete(RemoteEntry).where(RemoteEntry.submission_id == submission_id))

    # --- sending --------------------------------------------------------------------------------------------------------

    def has_work(self) -> bool:
        """Whether a report is due."""
        return self.server is not None and self.next_due() is not None

    def next_due(self) -> int | None:
        """The id of the report that is due the longest, and none of whose submission waits before it."""
        earlier = aliased(Report)
        before = select(earlier.id).where(
            earlier.submission_id == Report.submission_id, earlier.number < Report.number, earlier.state == WAITING
        )
        due = (Report.state == WAITING, Report.next_at <= now(), ~before.exists())
        with self.database.reading() as session:
            return session.scalar(select(Report.id).where(*due).order_by(Report.next_at, Report.id).limit(1))

    def first_of(self, submission_id: int) -> int | None:
        """The id of the report that a submission has begun; None: there is none to make."""
        with self.database.reading() as session:
            mine = (Report.submission_id == submission_id, Report.number == BEGUN)
            return session.scalar(select(Report.id).where(*mine))

    def send(self, report_id: int) -> Report:
        """Sends a report, and writes down what came of it.

        Raises:
            Unavailable: the database is away; whatever was sent is sent again later, which changes nothing.
        """
        with self.database.writing() as session:
            report = session.get_one(Report, report_id)
            report.attempts += 1  # before it is sent, so that the next one knows
            report.next_at = now() + GRACE
            attempts, age = report.attempts, now() - report.created_at
        try:
            remote_id = self._send(report, again=attempts > 1)
        except Refused as error:
            return self._ended(report, REFUSED, str(error))
        except Unavailable as error:
            if age > self._days:
                return self._ended(report, GIVEN_UP, f"given up after {attempts} attempts: {error}")
            return self._note(report, reason=str(error)[:500], next_at=now() + _wait(attempts))
        return self._ended(report, SENT, "", remote_id)

    def _send(self, report: Report, *, again: bool) -> str | None:
        """Tells the challenge server; the id that it has given to a new submission."""
        with self.database.reading() as session:
            row = session.get_one(Submission, report.submission_id)
            entry = session.scalars(select(RemoteEntry).where(RemoteEntry.submission_id == row.id)).one()
            challenge = session.get_one(Challenge, row.challenge_id).name
            first = session.scalars(select(Report).where(Report.submission_id == row.id, Report.number == BEGUN)).one()
        assert self.server is not None
        try:
            key = self._seal().decrypt(entry.sealed_key).decode()
        except InvalidToken as error:
            raise Refused("the participant's key cannot be read any more: reporting-key is another one") from error
        if report.number == BEGUN:
            known = self.server.find(challenge, row.name) if again else None
            return known or self.server.enter(key, challenge, row.name).remote_id
        if first.state != SENT:
            raise Refused(f"that it had begun was {first.state}: {first.reason}")
        status, told = _outcome(row)
        self.server.report(key, challenge, entry.remote_id, status, told)
        return None

    def _ended(self, report: Report, state: str, reason: str, remote_id: str | None = None) -> Report:
        with self.database.writing() as session:
            mine = RemoteEntry.submission_id == report.submission_id
            if remote_id is not None:
                session.execute(update(RemoteEntry).where(mine).values(remote_id=remote_id))
            if report.number == ENDED or state != SENT:
                session.execute(update(RemoteEntry).where(mine).values(sealed_key=self._seal().encrypt(b"").decode()))
            return self._changed(session, report, state=state, reason=reason[:500], ended_at=now())

    def _note(self, report: Report, **values: Any) -> Report:
        with self.database.writing() as session:
            return self._changed(session, report, **values)

    @staticmethod
    def _changed(session: Session, report: Report, **values: Any) -> Report:
        session.execute(update(Report).where(Report.id == report.id, Report.state == WAITING).values(**values))
        return session.get_one(Report, report.id, populate_existing=True)

    def _seal(self) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(seeds.server_secret(self._key)))

    # --- looking --------------------------------------------------------------------------------------------------------

    def told(self, submission_id: int) -> dict[str, Any] | None:
        """How the last report of a submission is doing; None: it is not reported to anybody."""
        query = select(Report).where(Report.submission_id == submission_id).order_by(Report.number.desc()).limit(1)
        with self.database.reading() as session:
            last = session.scalar(query)
        if last is None:
            return None
        return {
            "what": "what became of it" if last.number == ENDED else "that it has begun",
            "state": last.state,
            "attempts": last.attempts,
            "reason": last.reason,
            "since": (last.ended_at or last.created_at).isoformat(),
        }

    def waiting(self) -> int:
        """How many reports wait."""
        with self.database.reading() as session:
            return session.scalar(select(func.count()).select_from(Report).where(Report.state == WAITING)) or 0

    def list(self) -> list[tuple[Report, str, str]]:
        """Reports that were not sent, with their submissions' and challenges' names."""
        query = select(Report, Submission.name, Challenge.name).join(Submission, Submission.id == Report.submission_id)
        query = query.join(Challenge, Challenge.id == Submission.challenge_id).where(Report.state != SENT)
        with self.database.reading() as session:
            return [(row[0], row[1], row[2]) for row in session.execute(query.order_by(Report.id))]

    def hurry(self) -> int:
        """Makes all that wait due now; how many."""
        with self.database.writing() as session:
            return rows_changed(session, update(Report).where(Report.state == WAITING).values(next_at=now()))


def _wait(attempts: int) -> datetime.timedelta:
    return datetime.timedelta(seconds=min(LONGEST_WAIT, 2.0 ** min(attempts, 20)))


def _outcome(row: Submission) -> tuple[str, dict[str, str]]:
    """(grading status, parameters) of a submission that has ended."""
    if SubmissionState(row.state).is_ranked and row.score is not None and math.isfinite(row.score):
        told = {"score": repr(row.score)}
        if row.secondary is not None and math.isfinite(row.secondary):
            told["score_secondary"] = repr(row.secondary)
        told["meta[verdict]"] = row.verdict
        told["meta[trials]"] = str(len(json.loads(row.trials)))
        if row.standard_error is not None:
            told["meta[standard_error]"] = repr(row.standard_error)
        return GRADED, told
    return FAILED, {"grading_message": row.reason or row.state}
