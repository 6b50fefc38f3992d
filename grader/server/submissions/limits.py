"""A challenge's limits on submissions: who may begin another one, how many are left, and how a slot is charged."""

import datetime
import hashlib
import itertools
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnExpressionArgument, func, select
from sqlalchemy.orm import Session

from gymserve.grader.challenges.challenge import FINAL, PRACTICE, PUBLIC, Phase
from gymserve.grader.challenges.states import ACTIVE, RANKED, SubmissionState
from gymserve.grader.server.competitions import phase_keys, teams
from gymserve.grader.server.competitions.competition import ChallengeRecord, lock
from gymserve.grader.server.competitions.teams import Entrant
from gymserve.grader.server.reports.outbox import Outbox
from gymserve.protocol import errors
from gymserve.store import Database
from gymserve.store.models import Submission, now

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class SubmissionSettings:
    """The settings of submissions, see `docs/settings.md`."""

    idle_seconds: float
    phase_grace_seconds: float
    submission_days: float
    account_storage_mb: int


class SubmissionRequest(NamedTuple):
    """A request to begin a submission.

    Args:
        entrant: the name to submit under, on a server without accounts.
        key: an idempotency key, or None.
        remote_key: the entrant's key on the external challenge server that the submission is reported to, or None.
    """

    account_id: int | None
    entrant: str
    key: str | None
    remote_key: str | None


class ConcurrencyLimitReached(errors.LimitReached):
    """The entrant has as many active submissions, `rows`, as the challenge allows."""

    def __init__(self, rows: list[Submission]) -> None:
        super().__init__(f"you already have {len(rows)} submissions under way: finish one first")
        self.rows = rows


def charge(
    database: Database, outbox: Outbox, record: ChallengeRecord, phase: Phase, request: SubmissionRequest
) -> tuple[Submission, int | None]:
    """Creates a submission in one transaction, or finds the one that the same key created.

    Returns:
        The submission, and how many are left after it.

    Raises:
        ConcurrencyLimitReached: see `left`.
        TooFast: see `left`.
        LimitReached: see `left`.
        Forbidden: see `left`.
    """
    names = _names(record, request)
    with database.writing() as session:
        lock(session, record.id)  # so that two simultaneous requests cannot both get the last slot
        name = next(names)
        while (existing := session.scalar(select(Submission).where(Submission.name == name))) is not None:
            if existing.state != SubmissionState.VOID or existing.token is not None:
                return existing, None
            name = next(names)  # that submission never began, and its agent never learned of it
        submitter = teams.entrant_of(session, record, request.account_id, request.entrant)
        remaining = left(session, record, phase, submitter)
        row = Submission(
            name=name,
            challenge_id=record.id,
            version_id=record.version_id,
            phase=phase.name,
            key_generation=phase_keys.for_submission(session, record.id, phase.name),
            account_id=request.account_id,
            entrant=submitter.name,
            state=SubmissionState.CREATED,
        )
        session.add(row)
        if request.remote_key is not None:
            session.flush()
            outbox.begin(session, row.id, request.remote_key)
    return row, remaining


def _names(record: ChallengeRecord, request: SubmissionRequest) -> Iterator[str]:
    """Names for a new submission. A request with a key gets the same sequence of names each time."""
    for attempt in itertools.count():
        suffix = f"\0{attempt}" if attempt else ""
        text = f"{record.id}\0{request.entrant}\0{request.key}{suffix}"
        by_key = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
        yield secrets.token_hex(12) if request.key is None else by_key


def under_way(session: Session, record: ChallengeRecord, entrant: Entrant) -> list[Submission]:
    """The entrant's active submissions, oldest first."""
    counted = (Submission.challenge_id == record.id, entrant.owns_submission(), Submission.counts)
    query = select(Submission).where(*counted, Submission.state.in_(ACTIVE))
    return list(session.scalars(query.order_by(Submission.id)))


def left(
    session: Session, record: ChallengeRecord, phase: Phase, entrant: Entrant, *, beside: bool = True
) -> int | None:
    """How many submissions are left today after another one, or None if there is no limit.

    Args:
        beside: whether the active submissions go on, so that the limit on concurrent ones applies.

    Raises:
        ConcurrencyLimitReached: no more submissions may be active at once.
        TooFast: no submission is left today.
        LimitReached: no submission is left.
        Forbidden: the entrant has not qualified for this final phase.
    """
    limits = record.challenge.limits

    def count(*conditions: ColumnExpressionArgument[bool]) -> int:
        return session.scalar(select(func.count()).select_from(Submission).where(*conditions)) or 0

    active = under_way(session, record, entrant) if beside and limits.concurrent is not None else []
    if limits.concurrent is not None and len(active) >= limits.concurrent:
        raise ConcurrencyLimitReached(active)
    if phase.kind == PRACTICE:
        return None
    if phase.kind == FINAL:
        _check_qualified(session, record, entrant)
    practice = [each.name for each in record.challenge.phases if each.kind == PRACTICE]
    counts = (Submission.counts, Submission.phase.not_in(practice))
    counted = (Submission.challenge_id == record.id, entrant.owns_submission(), *counts)
    if limits.submissions is not None and count(*counted) >= limits.submissions:
        raise errors.LimitReached(f"you have made all of your {limits.submissions} submissions")
    if limits.submissions_per_day is None:
        return None
    since = now() - DAY
    made = count(*counted, Submission.created_at > since)
    if made >= limits.submissions_per_day:
        query = select(Submission.created_at).where(*counted, Submission.created_at > since)
        query = query.order_by(Submission.created_at).offset(made - limits.submissions_per_day).limit(1)
        first = session.scalars(query).one()
        wait = max(1.0, (first + DAY - now()).total_seconds())
        text = f"You have already made {made} submissions in the last 24 hours. You can make your next submission in "
        raise errors.TooFast(text + str(datetime.timedelta(seconds=round(wait))), wait)
    return limits.submissions_per_day - made - 1


def _check_qualified(session: Session, record: ChallengeRecord, entrant: Entrant) -> None:
    """Checks that the entrant reached the challenge's qualifying score, if it has one, in a public phase.

    Raises:
        Forbidden: the entrant did not.
    """
    threshold = record.challenge.ranking.qualifying_score
    if threshold is None:
        return
    higher = record.challenge.scoring.better == "higher"
    reached = Submission.score >= threshold if higher else Submission.score <= threshold
    public = [phase.name for phase in record.challenge.phases if phase.kind == PUBLIC]
    counted = (Submission.challenge_id == record.id, entrant.owns_submission(), Submission.counts)
    qualifying = (*counted, Submission.phase.in_(public), Submission.state.in_(RANKED), reached)
    if session.scalar(select(Submission.id).where(*qualifying).limit(1)) is None:
        side = "at least" if higher else "at most"
        raise errors.Forbidden(f"the final phase needs a score of {side} {threshold:g} in a public phase")
