"""Models sent into challenges: the server plays the submission, which is as any other of the account's."""

from flask import Blueprint, Response, current_app
from werkzeug.local import LocalProxy

from gymserve.training import submitting
from gymserve.training.orders import Checker
from gymserve.training.submitting import Order, Orders
from gymserve.web import model_schemas as schemas
from gymserve.web import parameters
from gymserve.web.access import SCOPES, check_scope, identity
from gymserve.web.answers import json_answer
from gymserve.web.challenges import competition
from gymserve.web.challenges import submit as begin
from gymserve.web.models import OTHERS, mine, models
from gymserve.web.openapi import documented

blueprint = Blueprint("model_submissions", __name__, url_prefix="/models")
orders: Orders = LocalProxy(lambda: current_app.extensions["playing"])  # type: ignore[assignment]
checker: Checker = LocalProxy(lambda: current_app.extensions["checker"])  # type: ignore[assignment]


@blueprint.post("/<model_id>/submit")
@documented(schemas.Played, status=202, body=schemas.SubmitOrder, errors=(*OTHERS, 409, 422, 429, 500, 507))
def submit(model_id: str) -> Response:
    """Send a model into a challenge: a submission of the account's, which the server plays. `GET /submissions/<id>/` tells
    how it is doing; a repeated `Idempotency-Key` begins one submission."""
    check_scope(identity, SCOPES["challenges"])
    row, asked = mine(model_id), parameters.of_request()
    held = competition.find(str(parameters.required(asked, "challenge")))
    submitting.check(models.parent(row), checker, held.challenge.environment, held.challenge.kwargs)
    orders.check_room()
    begun = begin(held, identity, entrant=asked.get("entrant"))
    orders.place(Order(begun["submission_id"], begun["token"], row.name))
    current_app.extensions["background"].wake()
    names = ("submission_id", "challenge", "phase", "submissions_remaining")
    answer = json_answer({"model_id": row.name, **{name: begun[name] for name in names}})
    answer.status_code = 202
    return answer
