"""Pages of challenges: a leaderboard, and a submission with its video and what its organiser may decide."""

from typing import Any

from flask import Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from grader.challenges.states import SubmissionState
from grader.server.boards.leaderboard import Board
from grader.server.competitions.competition import Held
from gymserve.protocol import errors, wire
from gymserve.store.models import Submission
from gymserve.web.challenges import decisions
from gymserve.web.challenges.api import find_submission
from gymserve.web.challenges.media import check_shown
from gymserve.web.http import files
from gymserve.web.http.access import PUBLIC, allow
from gymserve.web.http.backend import backend, grading
from gymserve.web.http.browser import Pages, current, for_accounts, visitor

blueprint = Pages("board_pages", url_prefix="/boards")
BOARD_PAGE = 100  # places on a page


@blueprint.get("/<name>")
@allow(PUBLIC)
def board_page(name: str) -> str:
    """The leaderboard for people."""
    held = grading().competition.find(name)
    asked, entrant = request.args.get("phase") or None, request.args.get("entrant") or ""
    board: Board | None = None
    message = called = ""
    history: list[dict[str, Any]] = []
    try:
        board = grading().leaderboard.of(held, asked)
        called, _, history = grading().leaderboard.history(held, entrant, asked) if entrant else ("", "", [])
    except errors.GymserveError as error:
        message = str(error)
    page = min(max(1, request.args.get("page", 1, int)), 10**6)
    phase = next((each for each in held.challenge.phases if board and each.name == board.phase), None)
    who = visitor()
    values = {
        "challenge": grading().competition.describe(held),
        "board": board,
        "rows": grading().leaderboard.shown(board, (page - 1) * BOARD_PAGE, page * BOARD_PAGE)[1] if board else [],
        "page": page,
        "pages": -(-len(board.places) // BOARD_PAGE) if board else 1,
        "message": message,
        "entrant": entrant,
        "called": called,
        "history": history,
        "account": current(),
        "linked": grading().submissions.visibility.entrants(held, phase, who),
        "undecided": _undecided(held) if held.is_overseen_by(who) else [],
    }
    return render_template("board.html", **values)


def _undecided(held: Held) -> list[tuple[Submission, str]]:
    """The submissions that wait for the organiser's decision, with what their entrants are called."""
    rows = grading().submissions.list(held, state=SubmissionState.NOT_REPLAYABLE)
    called = grading().submissions.called(rows)
    return [(row, called[row.entrant]) for row in rows]


@blueprint.get("/<name>/submissions/<submission_id>")
@allow(PUBLIC)
def submission_page(name: str, submission_id: str) -> Any:
    """A submission for people: its score, its trials, its video."""
    who = visitor()
    try:
        row, held = find_submission(submission_id, who, public=True)
        if held.challenge.name != name:
            raise errors.NotFound(f"there is no submission {submission_id:.100} in {name:.100}")
    except errors.NotFound:
        if who is None:
            return redirect(url_for("pages.login"), 303)
        raise
    return render_template(
        "submission.html",
        row=row,
        entrant=grading().submissions.called([row])[row.entrant],
        challenge=held.challenge,
        trials=wire.read_json(row.trials.encode()),
        media=backend().media.standing(row.name),
        standing=grading().submissions.standing(row),
        report=grading().submissions.outbox.told(row.id),
        decides=row.state == SubmissionState.NOT_REPLAYABLE and held.is_overseen_by(who),
        account=current(),
    )


@blueprint.get("/<name>/submissions/<submission_id>/<kind>")
@allow(PUBLIC)
def submission_file(name: str, submission_id: str, kind: str) -> Response:
    """A video or a picture, for the page."""
    who = visitor()
    row, held = find_submission(submission_id, who, public=True)
    check_shown(row, held, who)
    return files.send(backend().media.open(row.name, kind), kind, row.name)


@blueprint.post("/<name>/submissions/<submission_id>")
@for_accounts
def decide(name: str, submission_id: str) -> AnyResponse:
    """Do what the organiser's button on a submission's page says."""
    verb = request.form.get("verb")
    if verb not in ("accept", "void"):
        raise errors.InvalidRequest("verb must be accept or void")
    _, held = decisions.decide(submission_id, accept=verb == "accept")
    address = url_for("board_pages.submission_page", name=held.challenge.name, submission_id=submission_id)
    return redirect(address, 303)
