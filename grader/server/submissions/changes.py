"""When a submission changes. A leaderboard reads only what changed after it last looked, so these times must not go back."""

import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gymserve.store.models import Submission, now


def change_time(session: Session, row: Submission) -> datetime.datetime:
    """When a submission changes now: later than every change on its board, also where the clock was set back."""
    same = (Submission.challenge_id == row.challenge_id, Submission.phase == row.phase)
    latest, at = session.scalar(select(func.max(Submission.changed_at)).where(*same)), now()
    return at if latest is None or latest < at else latest + datetime.timedelta(microseconds=1)
