"""A challenge's limits on submissions: who may begin one more, how many are left, and how one is charged."""

import datetime
import hashlib
import itertools
import secrets
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from grader.challenges.challenge import FINAL, PRACTICE, PUBLIC, Phase
from grader.challenges.states import ACTIVE, RANKED, SubmissionState
from grader.server.competitions import phase_keys, teams
from grader.server.competitions.competition import Held, lock
from grader.server.competitions.teams import Entrant
from grader.server.reports.outbox import Outbox
from gymserve.protocol import errors
from gymserve.store import Database
from gymserve.store.models import Submission, now

DAY = datetime.timedelta(days=1)


class Asked(NamedTuple):
    """Who wants to begin a submission.

    Args:
        key: the entrant's same key again gives the same submission, unless that could not begin.
        remote_key: of the entrant on the challenge server elsewhere, which is told.
    """

    account_id: int | None
    entrant: str
    key: str | None
    remote_key: str | None


class UnderWay(errors.LimitReached):
    """So many submissions as may go on at once do: `rows`."""

    def __init__(self, rows: list[Submission]) -> None:
        super().__init__(f"you have {len(rows)} submissions under way already: finish one first")
        self.rows = rows


def charge(database: Database, outbox: Outbox, held: Held, phase: Phase, asked: Asked) -> tuple[Submission, int | None]:
    """(A new submission, or the one of the same key; how many are left after it), in one transaction.

    Raises: see `left`.
    """
    names = _names(held, asked)
    with database.writing() as session:
        lock(session, held.id)  # so that two at once do not both take the last slot
        name = next(names)
        while (known := session.scalar(select(Submission).where(Submission.name == name))) is not None:
            if known.state != SubmissionState.VOID or known.token is not None:
                return known, None
            name = next(names)  # that one never began, and its agent was never told of it
        submitter = teams.entrant_of(session, held, asked.account_id, asked.entrant)
        remaining = left(session, held, phase, submitter)
        row = Submission(
            name=name,
            challenge_id=held.id,
            version_id=held.version_id,
            phase=phase.name,
            key_generation=phase_keys.for_submission(session, held.id, phase.name),
            account_id=asked.account_id,
            entrant=submitter.name,
            state=SubmissionState.CREATED,
        )
        session.add(row)
        if asked.remote_key is not None:
            session.flush()
            outbox.begin(session, row.id, asked.remote_key)
    return row, remaining


def _names(held: Held, asked: Asked) -> Iterator[str]:
    """What a submission may be called: with a key, the same names in the same order each time."""
    for attempt in itertools.count():
        again = f"\0{attempt}" if attempt else ""
        told = f"{held.id}\0{asked.entrant}\0{asked.key}{again}"
        by_key = hashlib.blake2b(told.encode(), digest_size=12).hexdigest()
        yield secrets.token_hex(12) if asked.key is None else by_key


def under_way(session: Session, held: Held, entrant: Entrant) -> list[Submission]:
    """The entrant's submissions that go on, the earliest first."""
    theirs = (Submission.challenge_id == held.id, entrant.made(), Submission.counts, Submission.state.in_(ACTIVE))
    return list(session.scalars(select(Submission).where(*theirs).order_by(Submission.id)))


def left(session: Session, held: Held, phase: Phase, entrant: Entrant, *, beside: bool = True) -> int | None:
    """How many submissions are left today after this one; None: any number.

    Args:
        beside: it is played beside those that go on, which the challenge may limit.

    Raises:
        UnderWay: as many as may go on at once do.
        TooFast, LimitReached: none is.
        Forbidden: a final phase is not for this entrant.
    """
    limits = held.challenge.limits

    def count(*conditions: Any) -> int:
        return session.scalar(select(func.count()).select_from(Submission).where(*conditions)) or 0

    theirs = (Submission.challenge_id == held.id, entrant.made(), Submission.counts)
    going_on = under_way(session, held, entrant) if beside and limits.concurrent is not None else []
    if limits.concurrent is not None and len(going_on) >= limits.concurrent:
        raise UnderWay(going_on)
    if phase.kind == PRACTICE:
        return None
    if phase.kind == FINAL:
        _check_qualified(session, held, entrant)
    practice = [each.name for each in held.challenge.phases if each.kind == PRACTICE]
    mine = (*theirs, Submission.phase.not_in(practice))
    if limits.submissions is not None and count(*mine) >= limits.submissions:
        raise errors.LimitReached(f"you have made all of your {limits.submissions} submissions")
    if limits.submissions_per_day is None:
        return None
    since = now() - DAY
    made = count(*mine, Submission.created_at > since)
    if made >= limits.submissions_per_day:
        query = (
            select(Submission.created_at).where(*mine, Submission.created_at > since).order_by(Submission.created_at)
        )
        first = session.scalars(query.offset(made - limits.submissions_per_day).limit(1)).one()
        wait = max(1.0, (first + DAY - now()).total_seconds())
        text = f"You have already made {made} submissions in the last 24 hours. You can make your next submission in "
        raise errors.TooFast(text + str(datetime.timedelta(seconds=round(wait))), wait)
    return limits.submissions_per_day - made - 1


def _check_qualified(session: Session, held: Held, entrant: Entrant) -> None:
    """Raises Forbidden where the challenge has a qualifying score, and no public phase has shown it of the entrant."""
    wanted = held.challenge.ranking.qualifying_score
    if wanted is None:
        return
    higher = held.challenge.scoring.better == "higher"
    reached = Submission.score >= wanted if higher else Submission.score <= wanted
    public = [phase.name for phase in held.challenge.phases if phase.kind == PUBLIC]
    mine = (Submission.challenge_id == held.id, entrant.made(), Submission.counts, Submission.phase.in_(public))
    if session.scalar(select(Submission.id).where(*mine, Submission.state.in_(RANKED), reached).limit(1)) is None:
        side = "at least" if higher else "at most"
        raise errors.Forbidden(f"the final is for those who reached a score of {side} {wanted:g} in a public phase")
