"""Views of submissions' videos and images."""

from flask import Response

from gymserve.accounts.identity import Identity
from gymserve.grader.server.competitions.competition import ChallengeRecord
from gymserve.protocol import errors
from gymserve.recording.recordings import TYPES
from gymserve.store.models import Submission
from gymserve.web.challenges import schemas
from gymserve.web.challenges.api import find_submission
from gymserve.web.http.access import CREDENTIALS_NEEDED, ORGANISER, PUBLIC, actor, allow, caller, check_scope, identity
from gymserve.web.http.answers import json_answer
from gymserve.web.http.backend import backend, grading
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.files import send
from gymserve.web.http.openapi import documented, ranges

blueprint = Blueprint("media", scope="submissions", tag="Media")


def check_shown(row: Submission, record: ChallengeRecord, who: Identity | None) -> None:
    """Check that `who` may see a submission's videos and images.

    Raises:
        Conflict: they show secret variants of trials, which its account may play again.
    """
    secret = any(variant.options or variant.kwargs for variant in record.challenge.trials.variants)
    if secret and not record.is_overseen_by(who) and not grading().submissions.judge.is_over(row):
        raise errors.Conflict("videos show how the trials differ, which is secret until the phase is over")


def _requested_submission(submission_id: str) -> tuple[Submission, ChallengeRecord]:
    """Find the submission that the request is for, with its challenge.

    Raises:
        Unauthenticated: the request is anonymous, and the submission is not public.
        Forbidden: the key lacks the scope `submissions`.
    """
    who = caller()
    if who is not None:
        check_scope(who, "submissions")
    try:
        return find_submission(submission_id, who, public=True)
    except errors.NotFound:
        if who is None:
            raise errors.Unauthenticated(CREDENTIALS_NEEDED) from None
        raise


@blueprint.get("/submissions/<submission_id>/media/")
@allow(PUBLIC)
@documented(schemas.SubmissionMedia, errors=(401, 403))
def show_media(submission_id: str) -> Response:
    """List a submission's videos and images, or their progress."""
    row, _ = _requested_submission(submission_id)
    return json_answer({"submission_id": row.name, **backend().media.status(row.name)})


@blueprint.post("/submissions/<submission_id>/media/")
@allow(ORGANISER)
@documented(schemas.SubmissionMedia, errors=(401, 403, 409, 507))
def make_media(submission_id: str) -> Response:
    """Make a submission's videos again, e.g. after a failure."""
    row, record = find_submission(submission_id, who := identity(), public=True)
    if not (who.sees_all or record.owner_id == who.account_id):
        raise errors.NotFound(f"there is no submission {submission_id:.100}")
    if not row.receipt:
        raise errors.Conflict(f"the submission is {row.state}: videos are made of graded submissions")
    if not backend().media.is_on:
        raise errors.Conflict(backend().media.status(row.name)["reason"])
    title = record.challenge.name
    backend().media.request_submission_video(row.name, title=title, challenge=row.challenge_id, again=True)
    backend().accounts.note(actor(), "videos ordered", row.name)
    backend().background.wake()
    return json_answer({"submission_id": row.name, **backend().media.status(row.name)})


@blueprint.get("/submissions/<submission_id>/media/<kind>")
@allow(PUBLIC)
@documented(ranges(*TYPES.values()), errors=(401, 403, 409, 416))
def fetch(submission_id: str, kind: str) -> Response:
    """Download a submission's video or image, whole or in ranges.

    Its kind is `video.webm`, `video.mp4`, `video.gif`, `poster.jpg`, `thumbnail.mp4` or `thumbnail.jpg`.
    """
    row, record = _requested_submission(submission_id)
    check_shown(row, record, caller())
    return send(backend().media.open(row.name, kind), kind, row.name)
