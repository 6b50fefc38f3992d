"""Videos and pictures of submissions: over the API, and on a submission's page."""

from flask import Response

from grader.server.competitions.competition import Held
from gymserve.accounts.identity import Identity
from gymserve.protocol import errors
from gymserve.recording.artefacts import TYPES
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


def check_shown(row: Submission, held: Held, who: Identity | None) -> None:
    """Raises: Conflict: the submission's pictures show secret variants of trials that its account may play again."""
    secret = any(variant.options or variant.kwargs for variant in held.challenge.trials.variants)
    if secret and not held.is_overseen_by(who) and not grading().submissions.judge.is_over(row):
        raise errors.Conflict("pictures show what sets the trials apart, which is secret until the phase is over")


def _asked_for(submission_id: str) -> tuple[Submission, Held]:
    """What the API's caller asks for.

    Raises:
        Unauthenticated: nobody has said who asks, and it is not for everybody.
        Forbidden: the key is not good for submissions.
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
@documented(schemas.Media, errors=(401, 403))
def show_media(submission_id: str) -> Response:
    """Tell which videos and pictures there are of a submission, and how far they are."""
    row, _ = _asked_for(submission_id)
    return json_answer({"submission_id": row.name, **backend().media.standing(row.name)})


@blueprint.post("/submissions/<submission_id>/media/")
@allow(ORGANISER)
@documented(schemas.Media, errors=(401, 403, 409, 507))
def make_media(submission_id: str) -> Response:
    """Have a submission's videos made anew: after a failure, or where there were none."""
    row, held = find_submission(submission_id, who := identity(), public=True)
    if not (who.sees_all or held.owner_id == who.account_id):
        raise errors.NotFound(f"there is no submission {submission_id:.100}")
    if not row.receipt:
        raise errors.Conflict(f"the submission is {row.state}: videos are made of what was graded")
    if not backend().media.is_on:
        raise errors.Conflict(backend().media.standing(row.name)["reason"])
    title = held.challenge.name
    backend().media.order_submission(row.name, title=title, challenge=row.challenge_id, again=True)
    backend().accounts.note(actor(), "videos ordered", row.name)
    backend().background.wake()
    return json_answer({"submission_id": row.name, **backend().media.standing(row.name)})


@blueprint.get("/submissions/<submission_id>/media/<kind>")
@allow(PUBLIC)
@documented("video/webm", also=ranges("video/webm"), media=tuple(TYPES.values()), errors=(401, 403, 409, 416))
def fetch(submission_id: str, kind: str) -> Response:
    """Get a video or a picture of a submission: `video.webm`, `video.mp4`, `video.gif`, `poster.jpg`, `thumbnail.mp4` or
    `thumbnail.jpg`; ranges and ETags work."""
    row, held = _asked_for(submission_id)
    check_shown(row, held, caller())
    return send(backend().media.open(row.name, kind), kind, row.name)
