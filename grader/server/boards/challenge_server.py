"""This server as a challenge server for graders on other machines: their submissions are kept and ranked here.

A grader's submission is charged as any other and stands as `elsewhere` until its grader says what became of it, once.
"""

import datetime
import hashlib
import json
import math
import secrets
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from grader.challenges.states import SubmissionState, VerdictState
from grader.server.competitions import teams
from grader.server.competitions.competition import Competition, Held, lock
from grader.server.reports import CHALLENGE_UNKNOWN, FAILED, GRADED, NO_SLOTS, NOT_OPEN, STATUSES, SUBMISSION_UNKNOWN
from grader.server.submissions import limits
from grader.server.submissions.changes import change_time
from gymserve.accounts.identity import Identity
from gymserve.protocol.errors import Forbidden, InvalidRequest, LimitReached, NotFound
from gymserve.store import Database
from gymserve.store.models import ExternalEntry, Submission, now

MEDIA = ("media_large", "media_thumbnail", "media_content_type")
OTHER = "the submission is {} already, which is not changed"


@dataclass(frozen=True)
class Said:
    """What a grader says of a submission; None and {}: nothing."""

    status: str
    score: float | None = None
    secondary: float | None = None
    message: str = ""
    media: dict[str, str] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Raises: InvalidRequest: it does not fit together."""
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


class Embedded:
    def __init__(self, database: Database, competition: Competition) -> None:
        self.database, self.competition = database, competition

    def enter(
        self, grader: Identity, participant: Identity, challenge: str, said: Said
    ) -> tuple[Submission, int | None]:
        """Charges a participant with a submission: (its row, how many more are allowed today).

        The same `meta[submission]` of a grader again is the same submission.

        Raises:
            InvalidRequest: the challenge, or what is said, is no good; or it takes no more.
        """
        said.check()
        held = self._challenge(grader, challenge)
        phase = held.challenge.phase_at(now())
        if not held.is_open or phase is None:
            raise InvalidRequest(NOT_OPEN)
        name = secrets.token_hex(12)
        if mark := said.meta.get("submission"):
            text = f"{held.id}\0{grader.account_id}\0{mark}"
            name = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
        with self.database.writing() as session:
            lock(session, held.id)
            row = session.scalar(select(Submission).where(Submission.name == name))
            if row is not None:
                return row, None
            account = participant.account_id
            entrant = teams.entrant_of(session, held, account, participant.name)
            try:
                left = limits.left(session, held, phase, entrant)
            except (LimitReached, Forbidden) as error:
                raise InvalidRequest(f"{NO_SLOTS} ({error})") from error
            row = Submission(
                name=name, challenge_id=held.id, version_id=held.version_id, phase=phase.name, account_id=account,
                entrant=entrant.name, state=SubmissionState.ELSEWHERE, left=True,
            )  # fmt: skip
            session.add(row)
            session.flush()
            entry = ExternalEntry(submission_id=row.id, grader_id=grader.account_id, status=said.status)
            session.add(entry)
            _write(session, row, entry, said)
        return row, left

    def update(self, grader: Identity, submission_id: str, said: Said) -> Submission:
        """Notes what became of a submission, once; the same again changes nothing.

        Raises:
            InvalidRequest: there is no such submission of this grader's, what is said is no good, or something else was said
                before.
        """
        said.check()
        with self.database.writing() as session:
            row, entry = self._own(session, grader, submission_id)
            if entry.status not in (GRADED, FAILED):
                _write(session, row, entry, said)
            elif not _same(row, entry, said):
                raise InvalidRequest(OTHER.format(entry.status))
            elif said.media:
                entry.details = _details(entry, said)
        return row

    def show(self, grader: Identity, submission_id: str) -> dict[str, Any]:
        """One submission, as the protocol tells it.

        Raises:
            NotFound: there is none of this grader's.
        """
        with self.database.reading() as session:
            try:
                row, entry = self._own(session, grader, submission_id)
            except InvalidRequest as error:
                raise NotFound(str(error)) from error
            return _told(row, entry)

    def list(self, grader: Identity, challenge: str, *, status: str | None, mark: str | None) -> list[dict[str, Any]]:
        """The grader's submissions in a challenge, the newest first, 1000 at most.

        Raises:
            InvalidRequest: there is no such challenge.
        """
        held = self._challenge(grader, challenge)
        query = select(Submission, ExternalEntry).join(ExternalEntry, ExternalEntry.submission_id == Submission.id)
        query = query.where(Submission.challenge_id == held.id, ExternalEntry.grader_id == grader.account_id)
        if status:
            query = query.where(ExternalEntry.status == status)
        if mark:
            text = f"{held.id}\0{grader.account_id}\0{mark}"
            query = query.where(Submission.name == hashlib.blake2b(text.encode(), digest_size=12).hexdigest())
        with self.database.reading() as session:
            rows = session.execute(query.order_by(Submission.id.desc()).limit(1000)).all()
        return [_told(row, entry) for row, entry in rows]

    def resets_at(self) -> datetime.datetime:
        """By when the slots that are taken now are free again."""
        return now() + limits.DAY

    def _challenge(self, grader: Identity, name: str) -> Held:
        try:
            held = self.competition.find(name)
        except NotFound:
            raise InvalidRequest(CHALLENGE_UNKNOWN) from None
        if held.owner_id != grader.account_id and not grader.sees_all:
            raise InvalidRequest(CHALLENGE_UNKNOWN)
        return held

    def _own(self, session: Session, grader: Identity, submission_id: str) -> tuple[Submission, ExternalEntry]:
        known = submission_id.isascii() and submission_id.isdigit() and len(submission_id) < 10
        row = session.get(Submission, int(submission_id)) if known else None
        mine = ExternalEntry.submission_id == (row.id if row else 0)
        entry = session.scalar(select(ExternalEntry).where(mine, ExternalEntry.grader_id == grader.account_id))
        if row is None or entry is None:
            raise InvalidRequest(SUBMISSION_UNKNOWN)
        return row, entry


def _write(session: Session, row: Submission, entry: ExternalEntry, said: Said) -> None:
    entry.status, entry.details, row.changed_at = said.status, _details(entry, said), change_time(session, row)
    if said.status in (GRADED, FAILED):
        row.state, row.reason, row.finished_at = SubmissionState(said.status), said.message[:500], now()
    if said.status == GRADED:
        row.score, row.secondary, row.verdict = said.score, said.secondary, VerdictState.REPORTED


def _same(row: Submission, entry: ExternalEntry, said: Said) -> bool:
    if said.status != entry.status:
        return False
    return said.status == FAILED or (row.score, row.secondary) == (said.score, said.secondary)


def _details(entry: ExternalEntry, said: Said) -> str:
    known = json.loads(entry.details or "{}")
    media = said.media or known.get("media", {})
    return json.dumps({"meta": {**known.get("meta", {}), **said.meta}, "media": media, "message": said.message})


def _told(row: Submission, entry: ExternalEntry) -> dict[str, Any]:
    details = json.loads(entry.details)
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
