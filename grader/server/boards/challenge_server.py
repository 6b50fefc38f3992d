"""This server as a challenge server for graders on other machines, whose submissions are stored and ranked here.

Such a submission uses up a slot like any other. Its state is `elsewhere` until its grader reports the outcome, once.
"""

import datetime
import hashlib
import math
import secrets
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from gymserve.accounts.identity import Identity
from gymserve.grader.challenges.states import SubmissionState, VerdictState
from gymserve.grader.server.competitions import teams
from gymserve.grader.server.competitions.competition import ChallengeRecord, Competition, lock
from gymserve.grader.server.reports import (
    CHALLENGE_UNKNOWN,
    FAILED,
    GRADED,
    NO_SLOTS,
    NOT_OPEN,
    STATUSES,
    SUBMISSION_UNKNOWN,
)
from gymserve.grader.server.submissions import limits
from gymserve.grader.server.submissions.changes import change_time
from gymserve.protocol.errors import Forbidden, InvalidRequest, LimitReached, NotFound
from gymserve.protocol.wire import JSONObject
from gymserve.store import Database
from gymserve.store.models import ExternalEntry, Submission, now

MEDIA = ("media_large", "media_thumbnail", "media_content_type")
ALREADY_ENDED = "the submission is already {}, which cannot be changed"


@dataclass(frozen=True)
class StatusUpdate:
    """A grader's report on a submission. None, "" and {} stand for values that it did not send."""

    status: str
    score: float | None = None
    secondary: float | None = None
    message: str = ""
    media: dict[str, str] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Checks that the values fit together.

        Raises:
            InvalidRequest: they do not.
        """
        if self.status not in STATUSES:
            raise InvalidRequest(f"Grading Status must be one of ({'|'.join(STATUSES)})")
        if self.media and set(self.media) != set(MEDIA):
            raise InvalidRequest(f"media are all or none: {', '.join(MEDIA)}")
        for name, value in (("score", self.score), ("score_secondary", self.secondary)):
            if value is not None and not math.isfinite(value):
                raise InvalidRequest(f"{name} must be a finite number")
        if self.status == GRADED and self.score is None:
            raise InvalidRequest("a graded submission needs a score")
        if self.status == FAILED and not self.message:
            raise InvalidRequest("a failed submission needs a grading_message")


class EmbeddedServer:
    """Stores the submissions that external graders report."""

    def __init__(self, database: Database, competition: Competition) -> None:
        self.database, self.competition = database, competition

    def enter(
        self, grader: Identity, participant: Identity, challenge: str, update: StatusUpdate
    ) -> tuple[Submission, int | None]:
        """Makes a submission in a participant's name.

        A grader that repeats a `meta[submission]` gets the same submission again.

        Returns:
            Its row, and how many more submissions are allowed today.

        Raises:
            InvalidRequest: the challenge or the update is invalid, or no slot is left.
        """
        update.check()
        record = self._challenge(grader, challenge)
        phase = record.challenge.phase_at(now())
        if not record.is_open or phase is None:
            raise InvalidRequest(NOT_OPEN)
        name = secrets.token_hex(12)
        if mark := update.meta.get("submission"):
            text = f"{record.id}\0{grader.account_id}\0{mark}"
            name = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
        with self.database.writing() as session:
            lock(session, record.id)
            row = session.scalar(select(Submission).where(Submission.name == name))
            if row is not None:
                return row, None
            account = participant.account_id
            entrant = teams.entrant_of(session, record, account, participant.name)
            try:
                left = limits.left(session, record, phase, entrant)
            except (LimitReached, Forbidden) as error:
                raise InvalidRequest(f"{NO_SLOTS} ({error})") from error
            row = Submission(
                name=name, challenge_id=record.id, version_id=record.version_id, phase=phase.name, account_id=account,
                entrant=entrant.name, state=SubmissionState.ELSEWHERE, left=True,
            )  # fmt: skip
            session.add(row)
            session.flush()
            entry = ExternalEntry(submission_id=row.id, grader_id=grader.account_id, status=update.status)
            session.add(entry)
            _write(session, row, entry, update)
        return row, left

    def update(self, grader: Identity, submission_id: str, update: StatusUpdate) -> Submission:
        """Stores a submission's outcome, once. Repeating the same outcome changes nothing.

        Raises:
            InvalidRequest: this grader has no such submission, the update is invalid, or another outcome is already stored.
        """
        update.check()
        with self.database.writing() as session:
            row, entry = self._own(session, grader, submission_id)
            if entry.status not in (GRADED, FAILED):
                _write(session, row, entry, update)
            elif not _same(row, entry, update):
                raise InvalidRequest(ALREADY_ENDED.format(entry.status))
            elif update.media:
                entry.details = _details(entry, update)
        return row

    def show(self, grader: Identity, submission_id: str) -> dict[str, object]:
        """One submission, in the protocol's form.

        Raises:
            NotFound: this grader has no such submission.
        """
        with self.database.reading() as session:
            try:
                row, entry = self._own(session, grader, submission_id)
            except InvalidRequest as error:
                raise NotFound(str(error)) from error
            return _to_dict(row, entry)

    def list(
        self, grader: Identity, challenge: str, *, status: str | None, mark: str | None
    ) -> list[dict[str, object]]:
        """The grader's latest submissions in a challenge, at most 1000, newest first.

        Raises:
            InvalidRequest: there is no such challenge.
        """
        record = self._challenge(grader, challenge)
        query = select(Submission, ExternalEntry).join(ExternalEntry, ExternalEntry.submission_id == Submission.id)
        query = query.where(Submission.challenge_id == record.id, ExternalEntry.grader_id == grader.account_id)
        if status:
            query = query.where(ExternalEntry.status == status)
        if mark:
            text = f"{record.id}\0{grader.account_id}\0{mark}"
            query = query.where(Submission.name == hashlib.blake2b(text.encode(), digest_size=12).hexdigest())
        with self.database.reading() as session:
            rows = session.execute(query.order_by(Submission.id.desc()).limit(1000)).all()
        return [_to_dict(row, entry) for row, entry in rows]

    def resets_at(self) -> datetime.datetime:
        """The time by which all slots that are in use now will be free again."""
        return now() + limits.DAY

    def _challenge(self, grader: Identity, name: str) -> ChallengeRecord:
        try:
            record = self.competition.find(name)
        except NotFound:
            raise InvalidRequest(CHALLENGE_UNKNOWN) from None
        if record.owner_id != grader.account_id and not grader.sees_all:
            raise InvalidRequest(CHALLENGE_UNKNOWN)
        return record

    def _own(self, session: Session, grader: Identity, submission_id: str) -> tuple[Submission, ExternalEntry]:
        is_id = submission_id.isascii() and submission_id.isdigit() and len(submission_id) < 10
        row = session.get(Submission, int(submission_id)) if is_id else None
        of_row = ExternalEntry.submission_id == (row.id if row else 0)
        entry = session.scalar(select(ExternalEntry).where(of_row, ExternalEntry.grader_id == grader.account_id))
        if row is None or entry is None:
            raise InvalidRequest(SUBMISSION_UNKNOWN)
        return row, entry


def _write(session: Session, row: Submission, entry: ExternalEntry, update: StatusUpdate) -> None:
    entry.status, entry.details, row.changed_at = update.status, _details(entry, update), change_time(session, row)
    if update.status in (GRADED, FAILED):
        row.state, row.reason, row.finished_at = SubmissionState(update.status), update.message[:500], now()
    if update.status == GRADED:
        row.score, row.secondary, row.verdict = update.score, update.secondary, VerdictState.REPORTED


def _same(row: Submission, entry: ExternalEntry, update: StatusUpdate) -> bool:
    if update.status != entry.status:
        return False
    return update.status == FAILED or (row.score, row.secondary) == (update.score, update.secondary)


def _details(entry: ExternalEntry, update: StatusUpdate) -> JSONObject:
    stored = entry.details or {}
    media = update.media or stored.get("media", {})
    return {"meta": {**stored.get("meta", {}), **update.meta}, "media": media, "message": update.message}


def _to_dict(row: Submission, entry: ExternalEntry) -> dict[str, object]:
    details = entry.details
    return {
        "id": row.id,
        "submission_id": row.id,
        "participant_id": row.account_id,
        "grading_status_cd": entry.status,
        "score": row.score,
        "score_secondary": row.secondary,
        "grading_message": row.reason,
        "created_at": row.created_at.isoformat(),
        "meta": details["meta"],
        **{name: details["media"].get(name) for name in MEDIA},
    }
