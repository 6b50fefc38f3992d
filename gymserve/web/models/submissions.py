"""Models sent into challenges: the server plays the submission, which is as any other of the account's."""

from flask import Response

from gymserve.training.playing import submitting
from gymserve.training.playing.submitting import Assignment
from gymserve.web.challenges.api import submit as begin
from gymserve.web.http import parameters
from gymserve.web.http.access import check_scope, identity
from gymserve.web.http.answers import json_answer
from gymserve.web.http.backend import backend, grading, training
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.openapi import documented
from gymserve.web.models import schemas
from gymserve.web.models.api import OTHERS, mine

blueprint = Blueprint("model_submissions", scope="training", tag="Models", url_prefix="/models")


@blueprint.post("/<model_id>/submit")
@documented(schemas.Played, status=202, body=schemas.SubmitRequest, errors=(*OTHERS, 409, 422, 429, 500, 507))
def submit(model_id: str) -> Response:
    """Send a model into a challenge: a submission of the account's, which the server plays. `GET /submissions/<id>/` tells
    how it is doing; a repeated `Idempotency-Key` begins one submission."""
    check_scope(identity(), "submissions")
    row, params = mine(model_id), parameters.parse(schemas.SubmitRequest)
    held = grading().competition.find(params.challenge)
    submitting.check(
        training().models.parent(row),
        training().checker,
        held.challenge.environment,
        held.challenge.kwargs,
    )
    training().assignments.check_room()
    with training().assignments.room() as room:
        begun = begin(held, identity(), entrant=params.entrant)
        training().assignments.fill(room, Assignment(begun["submission_id"], begun["token"], row.name))
    backend().background.wake()
    names = ("submission_id", "challenge", "phase", "submissions_remaining")
    answer = json_answer({"model_id": row.name, **{name: begun[name] for name in names}})
    answer.status_code = 202
    return answer
