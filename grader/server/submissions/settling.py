"""Ends abandoned submissions: the agent is gone or done, the phase is over, or the submission never began."""

import datetime
import logging

from sqlalchemy import select

from gymserve.grader.challenges.states import ACTIVE, ProgressState, SubmissionState
from gymserve.grader.server.submissions import submission
from gymserve.grader.server.submissions.lifecycle import BEGIN_SECONDS, CLOSE_SECONDS, Submissions
from gymserve.protocol import errors
from gymserve.store.models import Submission, now

log = logging.getLogger("gymserve.grader")


def settle(submissions: Submissions) -> int:
    """Ends submissions whose agents are gone or done, and voids those that never got an instance. Returns their number."""
    with submissions.database.reading() as session:
        rows = list(session.scalars(select(Submission).where(Submission.state.in_(ACTIVE))))
    settled = 0
    for row in rows:
        try:
            settled += _settle(submissions, row)
        except errors.Unavailable:
            raise
        except Exception:  # a submission that cannot be ended must not block the others
            log.exception("submission %s cannot be settled", row.name)
    return settled


def _is_overdue(submissions: Submissions, row: Submission) -> bool:
    """Whether the phase has been over for longer than a submission may take. The phase's key stays secret until then."""
    with submissions.database.reading() as session:
        challenge = submissions.competition.of_version(session, row.version_id)
        closes = submissions.competition.present(session, row.challenge_id, challenge.phase(row.phase)).closes
    most = challenge.limits.submission_seconds
    seconds = submissions.grace_seconds if most is None else most
    return closes is not None and closes + datetime.timedelta(seconds=seconds) < now()


def _settle(submissions: Submissions, row: Submission) -> bool:
    """Ends a submission if it is abandoned, and returns whether it was."""
    if row.token is None:
        if now() - row.created_at < datetime.timedelta(seconds=BEGIN_SECONDS):
            return False
        submissions.end(row, SubmissionState.VOID, "the server stopped before its instance was created")
        return True
    if _is_overdue(submissions, row):
        submissions.finish(row)
        return True
    try:
        progress = submission.progress(submissions.instances, row.token)
    except errors.UnknownInstance:
        submissions.finish(row)
        return True
    except errors.GymserveError:
        return False  # its host does not answer now, but will be back
    gone = progress.state == ProgressState.CLOSED
    done = progress.state == ProgressState.OVER and (progress.idle_seconds or 0.0) > CLOSE_SECONDS
    if gone or done:
        submissions.finish(submissions.find(row.name))  # read again: the agent may have ended it meanwhile
    elif progress.state != ProgressState.CREATED and row.state == SubmissionState.CREATED:
        submissions.change(row, SubmissionState.CREATED, state=SubmissionState.RUNNING)
    return gone or done
