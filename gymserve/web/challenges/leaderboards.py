"""Views of leaderboards."""

from flask import Response, request

from gymserve.grader.server.boards.leaderboard import to_csv
from gymserve.protocol import errors
from gymserve.store.models import ACCOUNT_PREFIX
from gymserve.web.challenges import schemas
from gymserve.web.http import parameters
from gymserve.web.http.access import PUBLIC, allow, caller
from gymserve.web.http.answers import json_answer
from gymserve.web.http.backend import grading
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.openapi import documented

blueprint = Blueprint("leaderboards", scope="submissions", tag="Leaderboards")
PHASE = {"phase": "the phase; by default the current or last one"}


@blueprint.get("/challenges/<name>/leaderboard")
@allow(PUBLIC)
@documented(
    {200: (schemas.BoardPage, "text/csv"), 304: None},
    errors=(409,),
    query={**PHASE, "format": "json or csv", **parameters.PAGE},
)
def show_leaderboard(name: str) -> Response:
    """Show the leaderboard of a phase as JSON or CSV, with an ETag."""
    record = grading().competition.find(name)
    board = grading().leaderboard.of(
        record, request.args.get("phase") or None, sees_hidden=record.is_overseen_by(caller())
    )
    form = parameters.choice("format", "json", "csv")
    skip, limit = parameters.page()
    tag, rows = (
        grading().leaderboard.rows(board) if form == "csv" else grading().leaderboard.rows(board, skip, skip + limit)
    )
    if request.if_none_match.contains(tag):
        answer = Response(status=304)
    elif form == "csv":
        answer = Response(to_csv(rows), content_type="text/csv; charset=utf-8")
    else:
        answer = json_answer(schemas.BoardPage(name, board.phase, len(board.places), rows))
    answer.set_etag(tag)
    answer.headers["Cache-Control"] = "no-cache"
    return answer


@blueprint.get("/challenges/<name>/leaderboard/history")
@allow(PUBLIC)
@documented(
    schemas.ScoreHistory,
    errors=(409,),
    query={
        "entrant": "the entrant, as named on the leaderboard; by default your account",
        **PHASE,
        **parameters.PAGE,
    },
)
def show_history(name: str) -> Response:
    """Show the scores of one entrant in a phase, newest first."""
    record = grading().competition.find(name)
    who = caller()
    own = f"{ACCOUNT_PREFIX}{who.account_id}" if who is not None and who.account_id else ""
    entrant = request.args.get("entrant") or own
    if not entrant:
        raise errors.InvalidRequest("A required request parameter 'entrant' was not provided")
    phase = request.args.get("phase") or None
    skip, limit = parameters.page()
    entrant, phase, rows = grading().leaderboard.history(
        record, entrant, phase, sees_hidden=record.is_overseen_by(caller()), skip=skip, limit=limit
    )
    return json_answer({"challenge": name, "phase": phase, "entrant": entrant, "submissions": rows})
