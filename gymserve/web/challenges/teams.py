"""Views of a challenge's teams."""

from flask import Response

from gymserve.protocol.errors import InvalidRequest
from gymserve.web.challenges import schemas
from gymserve.web.http import parameters
from gymserve.web.http.access import identity
from gymserve.web.http.answers import json_answer, no_content
from gymserve.web.http.backend import grading
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.openapi import documented

blueprint = Blueprint("teams", scope="submissions", tag="Teams")
ERRORS = (401, 403, 409)


@blueprint.get("/challenges/<name>/team/")
@documented(schemas.TeamCard, errors=ERRORS)
def show(name: str) -> Response:
    """Show your team in a challenge."""
    return json_answer(grading().teams.of(grading().competition.find(name), identity().account_id or None)._asdict())


@blueprint.post("/challenges/<name>/team/")
@documented(schemas.TeamCard, body=schemas.TeamRequest, errors=ERRORS)
def enter(name: str) -> Response:
    """Create a team with a name, or join one with the code from its invitation."""
    params = parameters.parse(schemas.TeamRequest)
    record, account_id = grading().competition.find(name), identity().account_id or None
    if params.code is not None:
        team = grading().teams.join(record, account_id, params.code)
    elif params.name is not None:
        team = grading().teams.create(record, account_id, params.name)
    else:
        raise InvalidRequest("A required request parameter 'name' or 'code' was not provided")
    return json_answer(team._asdict())


@blueprint.post("/challenges/<name>/team/invitation")
@documented(schemas.TeamInvitation, errors=ERRORS)
def invite(name: str) -> Response:
    """Get a new code for joining your team; the previous code becomes invalid."""
    code = grading().teams.invite(grading().competition.find(name), identity().account_id or None)
    return json_answer(schemas.TeamInvitation(code))


@blueprint.delete("/challenges/<name>/team/")
@documented(status=204, errors=ERRORS)
def leave(name: str) -> Response:
    """Leave your team, if it has not submitted yet."""
    grading().teams.leave(grading().competition.find(name), identity().account_id or None)
    return no_content()
