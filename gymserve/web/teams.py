"""Teams of a challenge over HTTP."""

from flask import Blueprint, Response, current_app
from werkzeug.local import LocalProxy

from grader.competition import Competition
from grader.teams import Teams
from gymserve.web import grading_schemas as schemas
from gymserve.web import parameters
from gymserve.web.access import identity
from gymserve.web.answers import json_answer, no_content
from gymserve.web.openapi import documented

blueprint = Blueprint("teams", __name__)
competition: Competition = LocalProxy(lambda: current_app.extensions["competition"])  # type: ignore[assignment]
teams: Teams = LocalProxy(lambda: current_app.extensions["teams"])  # type: ignore[assignment]
ERRORS = (401, 403, 409)


@blueprint.get("/challenges/<name>/team/")
@documented(schemas.Team, errors=ERRORS)
def show(name: str) -> Response:
    """Show one's team in a challenge."""
    return json_answer(teams.of(competition.find(name), identity.account_id or None)._asdict())


@blueprint.post("/challenges/<name>/team/")
@documented(schemas.Team, body=schemas.TeamOrder, errors=ERRORS)
def enter(name: str) -> Response:
    """Make a team, by its name; or join one, by the code that a member has from its invitation."""
    asked, held, account_id = parameters.of_request(), competition.find(name), identity.account_id or None
    if "code" in asked:
        told = teams.join(held, account_id, parameters.required(asked, "code"))
    else:
        told = teams.create(held, account_id, parameters.required(asked, "name"))
    return json_answer(told._asdict())


@blueprint.post("/challenges/<name>/team/invitation")
@documented(schemas.TeamInvitation, errors=ERRORS)
def invite(name: str) -> Response:
    """Get a new code with which others join one's team; the one before is void."""
    return json_answer({"code": teams.invite(competition.find(name), identity.account_id or None)})


@blueprint.delete("/challenges/<name>/team/")
@documented(status=204, errors=ERRORS)
def leave(name: str) -> Response:
    """Leave one's team, as long as it has not submitted."""
    teams.leave(competition.find(name), identity.account_id or None)
    return no_content()
