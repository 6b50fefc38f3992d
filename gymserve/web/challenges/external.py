"""This server as a challenge server: crowdAI's protocol for graders on other machines, with all parameters in the query."""

import re
from typing import Any

from flask import Response, request

from grader.server.boards.challenge_server import MEDIA, Said
from grader.server.reports import CHALLENGE_UNKNOWN, KEY_UNKNOWN
from gymserve.accounts.identity import Identity
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
    "challenge_client_name": "the challenge's name; of 2017: challenge_id",
    "api_key": "the participant's key",
    "grading_status": "submitted, initiated, graded or failed",
    "score": "of a graded one",
    "score_secondary": "",
    "grading_message": "needed of a failed one",
    "media_large": "with media_thumbnail and media_content_type, or none",
    "media_thumbnail": "",
    "media_content_type": "",
    "meta[submission]": "what the grader calls it: the same again is the same submission",
}
UNKNOWN = {"message": KEY_UNKNOWN, "error": "NotFound", "participant_id": None}


def _participant(key: str) -> Identity:
    """Raises: Unauthenticated: nobody has this key."""
    found: Identity = backend().accounts.entrance.identify(key)
    return found


def _asked_participant() -> Identity:
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


def _said() -> Said:
    """What the query says of a submission."""
    meta = {
        match[1]: value for name, value in request.args.items() if (match := re.fullmatch(r"meta\[(\w{1,50})\]", name))
    }
    return Said(
        status=request.args.get("grading_status", ""),
        score=_number("score"),
        secondary=_number("score_secondary"),
        message=request.args.get("grading_message", ""),
        media={name: request.args[name] for name in MEDIA if request.args.get(name)},
        meta=meta,
    )


# What the two views take stands at one place of their paths, so it has one name: the description has each path once.
@blueprint.get("/external_graders/<key_or_submission>")
@allow(ORGANISER)
@documented(schemas.Participant, errors=ERRORS)
def participant(key_or_submission: str) -> Response:
    """Tell whose key this is."""
    try:
        who = _participant(key_or_submission)
    except errors.Unauthenticated:
        answer = json_answer(UNKNOWN)
        answer.status_code = 404
        return answer
    return json_answer({"participant_id": who.account_id, "message": "The participant was found."})


@blueprint.post("/external_graders")
@allow(ORGANISER)
@documented(schemas.Entered, status=202, errors=ERRORS, query=QUERY)
def enter() -> Response:
    """Begin a participant's submission that is graded elsewhere."""
    row, left = grading().embedded.enter(identity(), _asked_participant(), _challenge(), _said())
    backend().accounts.note(actor(), "submission entered", f"{row.name} of {row.entrant}")
    return _entered("Submission has been accepted.", row.id, left, "reset_dttm")


@blueprint.route("/external_graders/<key_or_submission>", methods=["PATCH"])
@allow(ORGANISER)
@documented(schemas.Entered, status=202, errors=ERRORS, query=QUERY)
def update(key_or_submission: str) -> Response:
    """Say what became of a submission that is graded elsewhere."""
    row = grading().embedded.update(identity(), key_or_submission, _said())
    return _entered(f"Submission {row.id} updated", row.id, None, "reset_date")


def _entered(message: str, submission_id: int, left: int | None, reset: str) -> Response:
    told: dict[str, Any] = {"message": message, "submission_id": submission_id, "submissions_remaining": left}
    answer = json_answer(told | {reset: grading().embedded.resets_at().isoformat()})
    answer.status_code = 202
    return answer


@blueprint.get("/submissions/<submission_id>")
@allow(ORGANISER)
@documented(schemas.ExternalSubmission, errors=ERRORS)
def show(submission_id: str) -> Response:
    """Show a submission that one's grader has entered."""
    return json_answer(grading().embedded.show(identity(), submission_id))


@blueprint.get("/submissions")
@allow(ORGANISER)
@documented(
    schemas.ExternalSubmission,
    many=True,
    errors=ERRORS,
    query={name: QUERY[name] for name in ("challenge_client_name", "grading_status", "meta[submission]")},
)
def list_submissions() -> Response:
    """List the submissions that one's grader has entered in a challenge."""
    asked = request.args
    found = grading().embedded.list(
        identity(), _challenge(), status=asked.get("grading_status"), mark=asked.get("meta[submission]")
    )
    return json_answer(found)
