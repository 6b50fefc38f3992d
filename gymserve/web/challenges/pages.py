"""Pages of challenges: the leaderboard, and a submission with its video and its organiser's decision."""

import contextlib
from datetime import datetime

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response as WerkzeugResponse

from gymserve.grader.challenges.states import SubmissionState
from gymserve.grader.server.boards.leaderboard import PhaseBoard
from gymserve.grader.server.competitions.competition import ChallengeRecord
from gymserve.protocol import errors, wire
from gymserve.store.models import ACCOUNT_PREFIX, Submission, now
from gymserve.web.challenges import decisions
from gymserve.web.challenges.api import find_submission
from gymserve.web.challenges.media import check_shown
from gymserve.web.http import files
from gymserve.web.http.access import PUBLIC, allow
from gymserve.web.http.backend import backend, grading
from gymserve.web.http.browser import Pages, for_accounts, to_login, visitor

blueprint = Pages("board_pages")
BOARD_PAGE = 100  # places on a page


def summaries() -> list[dict[str, object]]:
    """List all challenges with their dates, their number of entrants and best score (None if there is none to show)."""
    return [_summary(record, now()) for record in grading().competition.list()]


def _summary(record: ChallengeRecord, at: datetime) -> dict[str, object]:
    phases = record.challenge.phases
    entrants, best = 0, None
    with contextlib.suppress(errors.Conflict):  # hidden until a date
        places, baselines = grading().leaderboard.of(record).places, len(record.challenge.baselines)
        entrants = len(places) - baselines
        best = next((place.row.score for place in places[: baselines + 1] if place.rank is not None), None)
    return {
        "name": record.challenge.name,
        "title": record.challenge.title,
        "environment": record.challenge.environment,
        "is_open": record.may_submit(at),
        "entrants": entrants,
        "best": best,
        "closes": next((each.closes for each in phases if each.is_open(at)), None),
        "opens": min((each.opens for each in phases if each.opens and each.opens > at), default=None),
        "closed": max((each.closes for each in phases if each.closes and each.closes <= at), default=None),
    }


@blueprint.get("/challenges/")
@allow(PUBLIC)
def list_all() -> str:
    """Show the challenges: open, coming, over."""
    groups: dict[str, list[dict[str, object]]] = {"Open": [], "Coming": [], "Over": []}
    for row in summaries():
        groups["Open" if row["is_open"] else "Coming" if row["opens"] else "Over"].append(row)
    return render_template("challenges/list.html", groups=groups, at=now())


@blueprint.get("/challenges/<name>/", endpoint="challenge_page")
@blueprint.get("/boards/<name>")
@allow(PUBLIC)
def board_page(name: str) -> str:
    """Show the leaderboard."""
    record = grading().competition.find(name)
    phase_name, entrant = request.args.get("phase") or None, request.args.get("entrant") or ""
    who = visitor()
    sees_hidden = record.is_overseen_by(who)
    board: PhaseBoard | None = None
    message = entrant_name = ""
    history: list[dict[str, object]] = []
    try:
        board = grading().leaderboard.of(record, phase_name, sees_hidden=sees_hidden)
        if entrant:
            entrant_name, _, history = grading().leaderboard.history(
                record, entrant, phase_name, sees_hidden=sees_hidden
            )
    except errors.GymserveError as error:
        message = str(error)
    pages = max(1, -(-len(board.places) // BOARD_PAGE)) if board else 1
    page = min(max(1, request.args.get("page", 1, int)), pages)
    phase = next((each for each in record.challenge.phases if board and each.name == board.phase), None)
    values = {
        "challenge": grading().competition.describe(record),
        "summary": _summary(record, now()),
        "own": f"{ACCOUNT_PREFIX}{who.account_id}" if who is not None and who.account_id else None,
        "at": now(),
        "board": board,
        "rows": grading().leaderboard.rows(board, (page - 1) * BOARD_PAGE, page * BOARD_PAGE)[1] if board else [],
        "page": page,
        "pages": pages,
        "message": message,
        "entrant": entrant,
        "entrant_name": entrant_name,
        "history": history,
        "linked": grading().submissions.visibility.entrants(record, phase, who),
        "undecided": _undecided(record) if sees_hidden else [],
    }
    return render_template("challenges/board.html", **values)


def _undecided(record: ChallengeRecord) -> list[tuple[Submission, str]]:
    """List the submissions that await the organiser's decision, with their entrants' names."""
    rows = grading().submissions.list(record, state=SubmissionState.NOT_REPLAYABLE)
    names = grading().submissions.display_names(rows)
    return [(row, names[row.entrant]) for row in rows]


@blueprint.get("/boards/<name>/submissions/<submission_id>")
@allow(PUBLIC)
def submission_page(name: str, submission_id: str) -> ResponseReturnValue:
    """Show a submission: its score, its trials, its video."""
    who = visitor()
    try:
        row, record = find_submission(submission_id, who, public=True)
        if record.challenge.name != name:
            raise errors.NotFound(f"there is no submission {submission_id:.100} in {name:.100}")
    except errors.NotFound:
        if who is None:
            return to_login()
        raise
    return render_template(
        "challenges/submission.html",
        row=row,
        entrant=grading().submissions.display_names([row])[row.entrant],
        challenge=record.challenge,
        trials=wire.read_json(row.trials.encode()),
        media=backend().media.status(row.name),
        progress=grading().submissions.progress(row),
        report=grading().submissions.outbox.summary(row.id),
        decides=row.state == SubmissionState.NOT_REPLAYABLE and record.is_overseen_by(who),
        is_final=SubmissionState(row.state).is_final,
        at=now(),
        server=request.host_url.rstrip("/"),
    )


@blueprint.get("/boards/<name>/submissions/<submission_id>/<kind>")
@allow(PUBLIC)
def submission_file(name: str, submission_id: str, kind: str) -> Response:
    """Send a video or an image to the submission's page."""
    who = visitor()
    row, record = find_submission(submission_id, who, public=True)
    check_shown(row, record, who)
    return files.send(backend().media.open(row.name, kind), kind, row.name)


@blueprint.post("/boards/<name>/submissions/<submission_id>")
@for_accounts
def decide(name: str, submission_id: str) -> WerkzeugResponse:
    """Accept or void a submission, by the organiser's button on its page."""
    verb = request.form.get("verb")
    if verb not in ("accept", "void"):
        raise errors.InvalidRequest("verb must be accept or void")
    _, record = decisions.decide(submission_id, accept=verb == "accept")
    address = url_for("board_pages.submission_page", name=record.challenge.name, submission_id=submission_id)
    return redirect(address, 303)
