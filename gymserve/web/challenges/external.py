"""The challenge server's protocol for external graders (crowdAI's), with all parameters in the query."""

import re

from flask import Response, request

from gymserve.accounts.identity import Identity
from gymserve.grader.server.boards.challenge_server import MEDIA, StatusUpdate
from gymserve.grader.server.reports import CHALLENGE_UNKNOWN, KEY_UNKNOWN
from gymserve.protocol import errors
from gymserve.web.challenges import schemas
from gymserve.web.http.access import ORGANISER, actor, allow, identity
from gymserve.web.http.answers import json_answer
from gymserve.web.http.backend import backend, grading
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.openapi import documented

blueprint = Blueprint("external", scope="submissions", tag="External", url_prefix="/api")
ERRORS = (401, 403)
QUERY = {
    "challenge_client_name": "the challenge's name; graders of 2017 send it as challenge_id",
    "api_key": "the participant's key",
    "grading_status": "submitted, initiated, graded or failed",
    "score": "the score, if the submission is graded",
    "score_secondary": "the secondary score",
    "grading_message": "a message; required if grading failed",
    "media_large": "the video; send it with media_thumbnail and media_content_type",
    "media_thumbnail": "the small video",
    "media_content_type": "the videos' content type",
    "meta[submission]": "the grader's id of the submission; repeating it refers to the same submission",
}
UNKNOWN = {"message": KEY_UNKNOWN, "error": "NotFound", "participant_id": None}


def _participant(key: str) -> Identity:
    """Return the participant with this key.

    Raises:
        Unauthenticated: nobody has this key.
    """
    owner: Identity = backend().accounts.authenticator.identify(key)
    return owner


def _participant_of_request() -> Identity:
    try:
        return _participant(request.args.get("api_key", ""))
    except errors.Unauthenticated:
        raise errors.InvalidRequest(KEY_UNKNOWN) from None


def _challenge() -> str:
    name = request.args.get("challenge_client_name") or request.args.get("challenge_id")
    if not name:
        raise errors.InvalidRequest(CHALLENGE_UNKNOWN)
    return name


def _number(name: str) -> float | None:
    text = request.args.get(name)
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise errors.InvalidRequest(f"{name} must be a finite number, not {text!r:.50}") from None


def _report() -> StatusUpdate:
    """Return what the query reports about a submission."""
    meta = {
        match[1]: value for name, value in request.args.items() if (match := re.fullmatch(r"meta\[(\w{1,50})\]", name))
    }
    return StatusUpdate(
        status=request.args.get("grading_status", ""),
        score=_number("score"),
        secondary=_number("score_secondary"),
        message=request.args.get("grading_message", ""),
        media={name: request.args[name] for name in MEDIA if request.args.get(name)},
        meta=meta,
    )


# The two views share a path with one parameter name, since the API description lists each path once.
@blueprint.get("/external_graders/<key_or_submission>")
@allow(ORGANISER)
@documented(schemas.Participant, errors=ERRORS)
def participant(key_or_submission: str) -> Response:
    """Find the participant with a key."""
    try:
        who = _participant(key_or_submission)
    except errors.Unauthenticated:
        answer = json_answer(UNKNOWN)
        answer.status_code = 404
        return answer
    return json_answer(schemas.Participant(who.account_id, "The participant was found."))


@blueprint.post("/external_graders")
@allow(ORGANISER)
@documented(schemas.EnteredSubmission, status=202, errors=ERRORS, query=QUERY)
def enter() -> Response:
    """Begin a participant's submission that is graded elsewhere."""
    row, remaining = grading().embedded.enter(identity(), _participant_of_request(), _challenge(), _report())
    backend().accounts.note(actor(), "submission entered", f"{row.name} of {row.entrant}")
    return _accepted("Submission has been accepted.", row.id, remaining, "reset_dttm")


@blueprint.route("/external_graders/<key_or_submission>", methods=["PATCH"])
@allow(ORGANISER)
@documented(schemas.EnteredSubmission, status=202, errors=ERRORS, query=QUERY)
def update(key_or_submission: str) -> Response:
    """Update a submission that is graded elsewhere."""
    row = grading().embedded.update(identity(), key_or_submission, _report())
    return _accepted(f"Submission {row.id} updated", row.id, None, "reset_date")


def _accepted(message: str, submission_id: int, remaining: int | None, reset: str) -> Response:
    payload: dict[str, object] = {
        "message": message,
        "submission_id": submission_id,
        "submissions_remaining": remaining,
    }
    answer = json_answer(payload | {reset: grading().embedded.resets_at().isoformat()})
    answer.status_code = 202
    return answer


@blueprint.get("/submissions/<submission_id>")
@allow(ORGANISER)
@documented(schemas.ExternalSubmission, errors=ERRORS)
def show(submission_id: str) -> Response:
    """Show a submission of your grader."""
    return json_answer(grading().embedded.show(identity(), submission_id))


@blueprint.get("/submissions")
@allow(ORGANISER)
@documented(
    list[schemas.ExternalSubmission],
    errors=ERRORS,
    query={name: QUERY[name] for name in ("challenge_client_name", "grading_status", "meta[submission]")},
)
def list_submissions() -> Response:
    """List your grader's submissions in a challenge."""
    query = request.args
    rows = grading().embedded.list(
        identity(), _challenge(), status=query.get("grading_status"), mark=query.get("meta[submission]")
    )
    return json_answer(rows)
