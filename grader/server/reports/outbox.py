"""The outbox: reports to an external challenge server, stored in the database until the server has accepted them.

A report is written in the transaction that changes its submission. It is sent afterwards, with growing delays between
attempts, until the server accepts or refuses it. A submission's reports are sent in order; submissions do not wait for
each other.

Sending a report twice is harmless: before the first report is repeated, the outbox asks the server whether it already
has the submission, and the second one names the submission there by its id.
"""

import base64
import datetime
import json
import math
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, aliased

from gymserve.grader.challenges import seeds
from gymserve.grader.challenges.states import SubmissionState
from gymserve.grader.server.reports import FAILED, GRADED
from gymserve.grader.server.reports.crowdai import CrowdAI, Refused
from gymserve.protocol.errors import Unavailable
from gymserve.protocol.wire import JSONObject
from gymserve.settings import Settings
from gymserve.store import Database, rows_changed
from gymserve.store.models import ChallengeRow, RemoteEntry, Report, Submission, now

WAITING, SENT, REFUSED, GIVEN_UP = "waiting", "sent", "refused", "given up"
BEGUN, ENDED = 0, 1
GRACE = datetime.timedelta(seconds=40)  # after this, the process that was sending a report has sent it or was killed
MAX_DELAY_SECONDS = 3600.0


class Outbox:
    """The queue of reports.

    Args:
        server: the challenge server; None leaves waiting reports in the queue.
        days: how old a report must be to be given up.
    """

    def __init__(self, database: Database, server: CrowdAI | None, data: Path, *, days: float = 7.0) -> None:
        self.database, self.server = database, server
        self._key = data / "reporting-key"
        self._days = datetime.timedelta(days=days)

    @classmethod
    def of(cls, settings: Settings, database: Database, data: Path) -> "Outbox":
        """The outbox for a server's settings.

        Raises:
            SettingsError: the settings of the challenge server are invalid.
        """
        return cls(database, CrowdAI.of(settings), data, days=settings.REPORT_DAYS)

    # --- writing, in a transaction that changes a submission -----------------------------------------------------------

    def begin(self, session: Session, submission_id: int, key: str) -> None:
        """Queues the report that a submission has begun, for the participant with this key on the challenge server."""
        session.add(RemoteEntry(submission_id=submission_id, sealed_key=self._seal().encrypt(key.encode()).decode()))
        session.add(Report(submission_id=submission_id, number=BEGUN, next_at=now() + GRACE))

    def end(self, session: Session, submission_id: int) -> None:
        """Queues the report of a submission's outcome, if the submission is reported at all."""
        entry = select(RemoteEntry.id).where(RemoteEntry.submission_id == submission_id)
        if session.scalar(entry) is None:
            return
        begun = select(Report).where(Report.submission_id == submission_id, Report.number == BEGUN)
        first = session.scalars(begun).one()
        if first.state == WAITING and first.attempts == 0:
            first.next_at = now()
        session.add(Report(submission_id=submission_id, number=ENDED))

    def drop(self, session: Session, submission_id: int) -> None:
        """Removes the reports of a submission that could not begin, and that the server does not know of."""
        session.execute(delete(Report).where(Report.submission_id == submission_id))
        session.execute(delete(RemoteEntry).where(RemoteEntry.submission_id == submission_id))

    # --- sending --------------------------------------------------------------------------------------------------------

    def has_work(self) -> bool:
        """Whether a report is due."""
        return self.server is not None and self.next_due() is not None

    def next_due(self) -> int | None:
        """The id of the report that has been due longest, or None. A submission's later reports wait for its earlier ones."""
        earlier = aliased(Report)
        before = select(earlier.id).where(
            earlier.submission_id == Report.submission_id, earlier.number < Report.number, earlier.state == WAITING
        )
        due = (Report.state == WAITING, Report.next_at <= now(), ~before.exists())
        with self.database.reading() as session:
            return session.scalar(select(Report.id).where(*due).order_by(Report.next_at, Report.id).limit(1))

    def first_of(self, submission_id: int) -> int | None:
        """The id of the submission's "begun" report, or None if it isn't reported."""
        with self.database.reading() as session:
            is_first = (Report.submission_id == submission_id, Report.number == BEGUN)
            return session.scalar(select(Report.id).where(*is_first))

    def send(self, report_id: int) -> Report:
        """Sends a report and stores the result.

        Raises:
            Unavailable: the database does not answer. The report is sent again later, which is harmless.
        """
        with self.database.writing() as session:
            report = session.get_one(Report, report_id)
            report.attempts += 1  # before sending, so that the next attempt knows of this one
            report.next_at = now() + GRACE
            attempts, age = report.attempts, now() - report.created_at
        try:
            remote_id = self._send(report, again=attempts > 1)
        except Refused as error:
            return self._end(report, REFUSED, str(error))
        except Unavailable as error:
            if age > self._days:
                return self._end(report, GIVEN_UP, f"given up after {attempts} attempts: {error}")
            return self._postpone(report, reason=str(error)[:500], next_at=now() + _delay(attempts))
        return self._end(report, SENT, "", remote_id)

    def _send(self, report: Report, *, again: bool) -> str | None:
        """Calls the challenge server. Returns the id that it gave to a new submission."""
        with self.database.reading() as session:
            row = session.get_one(Submission, report.submission_id)
            entry = session.scalars(select(RemoteEntry).where(RemoteEntry.submission_id == row.id)).one()
            challenge = session.get_one(ChallengeRow, row.challenge_id).name
            first = session.scalars(select(Report).where(Report.submission_id == row.id, Report.number == BEGUN)).one()
        assert self.server is not None
        try:
            key = self._seal().decrypt(entry.sealed_key).decode()
        except InvalidToken as error:
            raise Refused("the participant's key cannot be decrypted: the file reporting-key has changed") from error
        if report.number == BEGUN:
            remote_id = self.server.find(challenge, row.name) if again else None
            return remote_id or self.server.enter(key, challenge, row.name).remote_id
        if first.state != SENT:
            raise Refused(f"the report of its beginning was {first.state}: {first.reason}")
        status, outcome = _outcome(row)
        self.server.report(key, challenge, entry.remote_id, status, outcome)
        return None

    def _end(self, report: Report, state: str, reason: str, remote_id: str | None = None) -> Report:
        with self.database.writing() as session:
            of_submission = RemoteEntry.submission_id == report.submission_id
            if remote_id is not None:
                session.execute(update(RemoteEntry).where(of_submission).values(remote_id=remote_id))
            if report.number == ENDED or state != SENT:
                no_key = self._seal().encrypt(b"").decode()
                session.execute(update(RemoteEntry).where(of_submission).values(sealed_key=no_key))
            return self._change(session, report, state=state, reason=reason[:500], ended_at=now())

    def _postpone(self, report: Report, **values: object) -> Report:
        with self.database.writing() as session:
            return self._change(session, report, **values)

    @staticmethod
    def _change(session: Session, report: Report, **values: object) -> Report:
        session.execute(update(Report).where(Report.id == report.id, Report.state == WAITING).values(**values))
        return session.get_one(Report, report.id, populate_existing=True)

    def _seal(self) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(seeds.server_secret(self._key)))

    # --- reading --------------------------------------------------------------------------------------------------------

    def summary(self, submission_id: int) -> JSONObject | None:
        """The state of a submission's last report, or None if the submission isn't reported."""
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
        """The number of waiting reports."""
        with self.database.reading() as session:
            return session.scalar(select(func.count()).select_from(Report).where(Report.state == WAITING)) or 0

    def list(self) -> list[tuple[Report, str, str]]:
        """The reports that have not been sent, each with the names of its submission and challenge."""
        query = select(Report, Submission.name, ChallengeRow.name).join(
            Submission, Submission.id == Report.submission_id
        )
        query = query.join(ChallengeRow, ChallengeRow.id == Submission.challenge_id).where(Report.state != SENT)
        with self.database.reading() as session:
            return [(row[0], row[1], row[2]) for row in session.execute(query.order_by(Report.id))]

    def hurry(self) -> int:
        """Makes all waiting reports due now, and returns their number."""
        with self.database.writing() as session:
            return rows_changed(session, update(Report).where(Report.state == WAITING).values(next_at=now()))


def _delay(attempts: int) -> datetime.timedelta:
    return datetime.timedelta(seconds=min(MAX_DELAY_SECONDS, 2.0 ** min(attempts, 20)))


def _outcome(row: Submission) -> tuple[str, dict[str, str]]:
    """The grading status and parameters of a submission that has ended."""
    if SubmissionState(row.state).is_ranked and row.score is not None and math.isfinite(row.score):
        params = {"score": repr(row.score)}
        if row.secondary is not None and math.isfinite(row.secondary):
            params["score_secondary"] = repr(row.secondary)
        params["meta[verdict]"] = row.verdict
        params["meta[trials]"] = str(len(json.loads(row.trials)))
        if row.standard_error is not None:
            params["meta[standard_error]"] = repr(row.standard_error)
        return GRADED, params
    return FAILED, {"grading_message": row.reason or row.state}
