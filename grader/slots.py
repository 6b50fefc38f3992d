"""A challenge's limits on submissions: who may begin one more, and how many are left."""

import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from grader.challenge import FINAL, PRACTICE, PUBLIC, Phase
from grader.competition import Held
from grader.teams import Entrant
from gymserve import errors
from gymserve.store.models import Submission, now

DAY = datetime.timedelta(days=1)
GOING_ON = ("created", "running")
SCORED = ("verifying", "graded", "abandoned")


def left(session: Session, held: Held, phase: Phase, entrant: Entrant) -> int | None:
    """How many submissions are left today after this one; None: any number.

    Raises:
        TooFast, LimitReached: none is.
        Forbidden: a final phase is not for this entrant.
    """
    limits = held.challenge.limits

    def count(*conditions: Any) -> int:
        return session.scalar(select(func.count()).select_from(Submission).where(*conditions)) or 0

    theirs = (Submission.challenge_id == held.id, entrant.made(), Submission.counts)
    if limits.concurrent is not None and count(*theirs, Submission.state.in_(GOING_ON)) >= limits.concurrent:
        raise errors.LimitReached(f"you have {limits.concurrent} submissions under way already: finish one first")
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
    if session.scalar(select(Submission.id).where(*mine, Submission.state.in_(SCORED), reached).limit(1)) is None:
        side = "at least" if higher else "at most"
        raise errors.Forbidden(f"the final is for those who reached a score of {side} {wanted:g} in a public phase")
