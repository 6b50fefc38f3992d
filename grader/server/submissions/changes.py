"""Times of changes. Leaderboards only read submissions changed since their last update, so these times must not go back."""

import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gymserve.store.models import Submission, now


def change_time(session: Session, row: Submission) -> datetime.datetime:
    """The time for a change made now. It is later than all changes on the same board, even if the clock was set back."""
    same = (Submission.challenge_id == row.challenge_id, Submission.phase == row.phase)
    latest, at = session.scalar(select(func.max(Submission.changed_at)).where(*same)), now()
    return at if latest is None or latest < at else latest + datetime.timedelta(microseconds=1)
