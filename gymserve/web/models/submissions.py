"""Models that enter challenges: the server plays the submission, which counts like any other of the account."""

from flask import Response

from gymserve.training.playing import assignments
from gymserve.training.playing.assignments import Assignment
from gymserve.web.challenges.api import submit as begin
from gymserve.web.http import parameters
from gymserve.web.http.access import check_scope, identity
from gymserve.web.http.answers import json_answer
from gymserve.web.http.backend import backend, grading, training
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.openapi import documented
from gymserve.web.models import schemas
from gymserve.web.models.api import OTHERS, own_model

blueprint = Blueprint("model_submissions", scope="training", tag="Models", url_prefix="/models")


@blueprint.post("/<model_id>/submit")
@documented(schemas.Played, status=202, body=schemas.SubmitRequest, errors=(*OTHERS, 409, 422, 429, 500, 507))
def submit(model_id: str) -> Response:
    """Enter a model into a challenge: the server plays a submission of the account. `GET /submissions/<id>/` shows its
    progress; a repeated `Idempotency-Key` begins only one submission.
    """
    check_scope(identity(), "submissions")
    row, params = own_model(model_id), parameters.parse(schemas.SubmitRequest)
    entry = grading().competition.find(params.challenge)
    assignments.check(
        training().models.parent(row),
        training().checker,
        entry.challenge.environment,
        entry.challenge.kwargs,
    )
    training().assignments.check_room()
    with training().assignments.room() as room:
        begun = begin(entry, identity(), entrant=params.entrant)
        training().assignments.fill(room, Assignment(begun.submission_id, begun.token, row.name))
    backend().background.wake()
    answer = json_answer(
        schemas.Played(row.name, begun.submission_id, begun.challenge, begun.phase, begun.submissions_remaining)
    )
    answer.status_code = 202
    return answer
