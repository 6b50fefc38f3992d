"""Leaderboards over HTTP, and as pages."""

from typing import Any

from flask import Blueprint, Response, current_app, render_template, request
from werkzeug.local import LocalProxy

from grader.leaderboard import Board, Leaderboard
from gymserve import errors
from gymserve.web import grading_schemas as schemas
from gymserve.web import parameters
from gymserve.web.access import PUBLIC, allow, identity
from gymserve.web.answers import json_answer
from gymserve.web.challenges import competition, owns
from gymserve.web.media import linked
from gymserve.web.openapi import documented
from gymserve.web.pages import POLICY, current

blueprint = Blueprint("leaderboards", __name__)
leaderboard: Leaderboard = LocalProxy(lambda: current_app.extensions["leaderboard"])  # type: ignore[assignment]
BOARD_PAGE = 100  # places on a page
PHASE = {"phase": "the present or last one, where none is named"}


@blueprint.get("/challenges/<name>/leaderboard")
@allow(PUBLIC)
@documented(
    schemas.Leaderboard,
    also={304: None},
    media=("text/csv",),
    errors=(409,),
    query={**PHASE, "format": "json or csv", **parameters.PAGE},
)
def show_leaderboard(name: str) -> Response:
    """Show the leaderboard of a phase, as JSON or CSV, with an ETag."""
    held = competition.find(name)
    board = leaderboard.of(held, request.args.get("phase") or None, sees_hidden=owns(held))
    form = request.args.get("format", "json")
    if form not in ("json", "csv"):
        raise errors.InvalidRequest("format must be json or csv")
    skip, limit = parameters.page()
    if request.if_none_match.contains(board.tag):
        answer = Response(status=304)
    elif form == "csv":
        answer = Response(board.to_csv(), content_type="text/csv; charset=utf-8")
    else:
        rows = board.rows(skip, skip + limit)
        answer = json_answer({"challenge": name, "phase": board.phase, "total": len(board.places), "places": rows})
    answer.set_etag(board.tag)
    answer.headers["Cache-Control"] = "no-cache"
    return answer


@blueprint.get("/challenges/<name>/leaderboard/history")
@allow(PUBLIC)
@documented(
    schemas.History,
    errors=(409,),
    query={
        "entrant": "as the leaderboard calls it; one's own account, where none is named",
        **PHASE,
        **parameters.PAGE,
    },
)
def show_history(name: str) -> Response:
    """Show the scores of one entrant in a phase, the newest first."""
    held = competition.find(name)
    entrant = request.args.get("entrant") or (identity.name if identity and identity.account_id else "")
    if not entrant:
        raise errors.InvalidRequest("A required request parameter 'entrant' was not provided")
    phase = request.args.get("phase") or None
    skip, limit = parameters.page()
    phase, rows = leaderboard.history(held, entrant, phase, sees_hidden=owns(held), skip=skip, limit=limit)
    return json_answer({"challenge": name, "phase": phase, "entrant": entrant, "submissions": rows})


@blueprint.get("/boards/<name>")
@allow(PUBLIC)
def board_page(name: str) -> Response:
    """The leaderboard for people."""
    held = competition.find(name)
    asked, entrant = request.args.get("phase") or None, request.args.get("entrant") or ""
    board: Board | None = None
    message = ""
    history: list[dict[str, Any]] = []
    try:
        board = leaderboard.of(held, asked)
        _, history = leaderboard.history(held, entrant, asked) if entrant else ("", [])
    except errors.GymserveError as error:
        message = str(error)
    page = min(max(1, request.args.get("page", 1, int)), 10**6)
    values = {
        "challenge": competition.describe(held),
        "board": board,
        "rows": board.rows((page - 1) * BOARD_PAGE, page * BOARD_PAGE) if board else [],
        "page": page,
        "pages": -(-len(board.places) // BOARD_PAGE) if board else 1,
        "message": message,
        "entrant": entrant,
        "history": history,
        "account": (account := current()),
        "linked": linked(held, board.phase if board else "", account),
    }
    return Response(render_template("board.html", **values), headers={"Content-Security-Policy": POLICY})
