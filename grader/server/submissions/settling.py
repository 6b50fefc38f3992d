"""Ending submissions that nobody ends: their agents are gone or done, their phase is over, or they never began."""

import datetime
import logging

from sqlalchemy import select

from grader.challenges.states import ACTIVE, ProgressState, SubmissionState
from grader.server.submissions import submission
from grader.server.submissions.lifecycle import BEGIN_SECONDS, PATIENCE_SECONDS, Submissions
from gymserve.protocol import errors
from gymserve.store.models import Submission, now

log = logging.getLogger("gymserve.grader")


def settle(submissions: Submissions) -> int:
    """Ends submissions whose agents are gone or done, and frees those that never got an instance; how many."""
    with submissions.database.reading() as session:
        rows = list(session.scalars(select(Submission).where(Submission.state.in_(ACTIVE))))
    settled = 0
    for row in rows:
        try:
            settled += _settled(submissions, row)
        except errors.Unavailable:
            raise
        except Exception:  # one that cannot be ended must not stand in the way of the others
            log.exception("submission %s cannot be settled", row.name)
    return settled


def _is_overdue(submissions: Submissions, row: Submission) -> bool:
    """Whether its phase has been over for as long as a submission may go on: others wait for the seeds' key."""
    with submissions.database.reading() as session:
        challenge = submissions.competition.of_version(session, row.version_id)
        closes = submissions.competition.present(session, row.challenge_id, challenge.phase(row.phase)).closes
    most = challenge.limits.submission_seconds
    seconds = submissions.grace_seconds if most is None else most
    return closes is not None and closes + datetime.timedelta(seconds=seconds) < now()


def _settled(submissions: Submissions, row: Submission) -> bool:
    if row.token is None:
        if now() - row.created_at < datetime.timedelta(seconds=BEGIN_SECONDS):
            return False
        submissions.end(row, SubmissionState.VOID, "the server stopped before its instance was made")
        return True
    if _is_overdue(submissions, row):
        submissions.finish(row)
        return True
    try:
        standing = submission.standing(submissions.instances, row.token)
    except errors.UnknownInstance:
        submissions.finish(row)
        return True
    except errors.GymserveError:
        return False  # its host is away, and will be back
    gone = standing.state == ProgressState.CLOSED
    done = standing.state == ProgressState.OVER and (standing.idle_seconds or 0.0) > PATIENCE_SECONDS
    if gone or done:
        submissions.finish(submissions.find(row.name))  # which its agent may have ended since the row was read
    elif standing.state != ProgressState.CREATED and row.state == SubmissionState.CREATED:
        submissions.change(row, SubmissionState.CREATED, state=SubmissionState.RUNNING)
    return gone or done
