"""A challenge's limits on submissions: who may begin one more, and how many are left."""

import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from grader.challenge import Limits
from grader.competition import Held
from gymserve import errors
from gymserve.store.models import Submission, now

DAY = datetime.timedelta(days=1)
GOING_ON = ("created", "running")


def left(session: Session, held: Held, limits: Limits, entrant: str) -> int | None:
    """How many submissions are left today after this one.

    Raises:
        TooFast, LimitReached: none is.
    """

    def count(*conditions: Any) -> int:
        mine = (Submission.challenge_id == held.id, Submission.entrant == entrant, Submission.counts)
        return session.scalar(select(func.count()).select_from(Submission).where(*mine, *conditions)) or 0

    if limits.concurrent is not None and count(Submission.state.in_(GOING_ON)) >= limits.concurrent:
        raise errors.LimitReached(f"you have {limits.concurrent} submissions under way already: finish one first")
    if limits.submissions is not None and count() >= limits.submissions:
        raise errors.LimitReached(f"you have made all of your {limits.submissions} submissions")
    if limits.submissions_per_day is None:
        return None
    since = now() - DAY
    made = count(Submission.created_at > since)
    if made >= limits.submissions_per_day:
        mine = (Submission.challenge_id == held.id, Submission.entrant == entrant, Submission.counts)
        query = (
            select(Submission.created_at).where(*mine, Submission.created_at > since).order_by(Submission.created_at)
        )
        first = session.scalars(query.offset(made - limits.submissions_per_day).limit(1)).one()
        wait = max(1.0, (first + DAY - now()).total_seconds())
        text = f"You have already made {made} submissions in the last 24 hours. You can make your next submission in "
        raise errors.TooFast(text + str(datetime.timedelta(seconds=round(wait))), wait)
    return limits.submissions_per_day - made - 1
