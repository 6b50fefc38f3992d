"""Challenges and submissions over HTTP."""

from typing import Any

from flask import Blueprint, Response, current_app, g, request
from werkzeug.local import LocalProxy

from grader.competition import Competition, Held
from grader.leaderboard import Leaderboard
from grader.submissions import Submissions
from gymserve import errors, wire
from gymserve.accounts.identity import Identity
from gymserve.store.models import Submission, now
from gymserve.web import grading_schemas as schemas
from gymserve.web import parameters
from gymserve.web.access import ORGANISER, PUBLIC, actor, allow, identity
from gymserve.web.answers import json_answer
from gymserve.web.openapi import documented

challenges = Blueprint("challenges", __name__)
competition: Competition = LocalProxy(lambda: current_app.extensions["competition"])  # type: ignore[assignment]
submissions: Submissions = LocalProxy(lambda: current_app.extensions["submissions"])  # type: ignore[assignment]
leaderboard: Leaderboard = LocalProxy(lambda: current_app.extensions["leaderboard"])  # type: ignore[assignment]
OTHERS = (401, 403)
PREFIX = "challenge:"  # before a challenge's name, where v1 asks for an environment's id


def submit(held: Held, who: Identity, *, entrant: str | None = None, alone: bool = False) -> dict[str, Any]:
    """Begins a submission of `who`; what a creation answers of it."""
    if who.account_id and entrant:
        raise errors.InvalidRequest("entrant is for servers without accounts: yours is your account's name")
    name = who.name if who.account_id or who.remote_key else _entrant(entrant)
    key = request.headers.get("Idempotency-Key")
    row, left = submissions.submit(
        held, account_id=who.account_id or None, entrant=name, alone=alone, key=key, remote_key=who.remote_key
    )
    current_app.extensions["background"].wake()
    return {
        "instance_id": row.token,
        "token": row.token,
        "submission_id": row.name,
        "challenge": held.challenge.name,
        "phase": row.phase,
        "submissions_remaining": left,
    }


def _entrant(given: Any) -> str:
    """What an entrant is called where there are no accounts."""
    name = given if given is not None else "everybody"
    if not isinstance(name, str) or not 0 < len(name) <= 100 or not name.isprintable():
        raise errors.InvalidRequest("entrant must be a string of 1 to 100 printable characters")
    return name


def asked_for(env_id: Any, *, by_key: bool) -> Held | None:
    """The challenge that a creation asks for: `challenge:<name>`, or, of the old grader's clients, its environment's id."""
    if not isinstance(env_id, str):
        return None
    if env_id.startswith(PREFIX):
        return competition.find(env_id.removeprefix(PREFIX))
    if not by_key:
        return None
    catalogue = current_app.extensions["instances"].catalogue
    environment = catalogue.resolve(env_id).id
    at = now()
    for held in competition.list():
        if held.may_submit(at) and catalogue.resolve(held.challenge.environment).id == environment:
            return held
    return None


def owns(held: Held) -> bool:
    """Whether who asks may see a challenge's inside."""
    who = g.identity
    return who is not None and (who.sees_all or (who.has_role(ORGANISER) and held.owner_id == who.account_id))


def submission_row(row: Submission, challenge: str) -> dict[str, Any]:
    """A submission as its owner sees it; never seeds or options of trials."""
    standing = submissions.standing(row)
    told: dict[str, Any] = {
        "submission_id": row.name,
        "challenge": challenge,
        "phase": row.phase,
        "entrant": row.entrant,
        "state": row.state,
        "reason": row.reason,
        "score": row.score,
        "secondary": row.secondary,
        "spread": row.spread,
        "standard_error": row.standard_error,
        "steps": row.steps,
        "verdict": row.verdict,
        "verdict_reason": row.verdict_reason,
        "trials": wire.read_json(row.trials.encode()),
        "created_at": row.created_at.isoformat(),
        "finished_at": row.finished_at and row.finished_at.isoformat(),
        "progress": None,
        "report": submissions.outbox.told(row.id),
    }
    if standing is not None:
        told["progress"] = {
            "state": standing.state,
            "trial": standing.trial,
            "trials": standing.trials,
            "steps": standing.steps,
            "idle_seconds": standing.idle_seconds,
        }
        told["steps"] = standing.steps
    return told


@challenges.get("/challenges/")
@allow(PUBLIC)
@documented(schemas.Challenges)
def list_all() -> Response:
    """List the challenges."""
    return json_answer({"challenges": [competition.describe(held) for held in competition.list()]})


@challenges.post("/challenges/")
@allow(ORGANISER)
@documented(schemas.Challenge, body=schemas.ChallengeOrder, errors=OTHERS)
def define() -> Response:
    """Define a challenge, or change one's own: as TOML, or as an object of the same shape."""
    asked = parameters.of_request()
    given = asked.get("toml") if "toml" in asked else asked.get("definition")
    if not isinstance(given, (str, dict)) or not given:
        raise errors.InvalidRequest("A required request parameter 'toml' or 'definition' was not provided")
    held = competition.define(given, owner_id=identity.account_id or None, sees_all=identity.sees_all)
    current_app.extensions["instances"].catalogue.resolve(held.challenge.environment)
    current_app.extensions["accounts"].note(actor(), "challenge defined", held.challenge.name)
    return json_answer(competition.describe(held))


@challenges.get("/challenges/<name>/")
@allow(PUBLIC)
@documented(schemas.Challenge)
def show(name: str) -> Response:
    """Describe a challenge: rules, phases, commitments to their seeds, and the seeds' keys once they are over."""
    return json_answer(competition.describe(competition.find(name)))


@challenges.post("/challenges/<name>/open/")
@allow(ORGANISER)
@documented(schemas.Challenge, errors=OTHERS)
def open_one(name: str) -> Response:
    """Open a challenge, within its phases' dates."""
    return _set_open(name, True)


@challenges.post("/challenges/<name>/close/")
@allow(ORGANISER)
@documented(schemas.Challenge, errors=OTHERS)
def close_one(name: str) -> Response:
    """Close a challenge to new submissions."""
    return _set_open(name, False)


def _set_open(name: str, is_open: bool) -> Response:
    held = competition.set_open(name, is_open, owner_id=identity.account_id or None, sees_all=identity.sees_all)
    current_app.extensions["accounts"].note(actor(), "challenge opened" if is_open else "challenge closed", name)
    return json_answer(competition.describe(held))


@challenges.post("/challenges/<name>/submissions/")
@documented(schemas.Submitted, body=schemas.SubmissionOrder, body_needed=False, errors=(*OTHERS, 409, 422, 500, 507))
def begin(name: str) -> Response:
    """Begin a submission: the answer's token addresses a graded instance."""
    asked = parameters.optional_of_request()
    return json_answer(submit(competition.find(name), identity, entrant=asked.get("entrant")))


@challenges.get("/challenges/<name>/submissions/")
@documented(schemas.SubmissionRow, many=True, errors=OTHERS, query=parameters.PAGE)
def list_submissions(name: str) -> Response:
    """List one's own submissions in a challenge; its organiser: all."""
    held = competition.find(name)
    skip, limit = parameters.page()
    mine = None if owns(held) else identity.account_id
    rows = submissions.list(held, account_id=mine, skip=skip, limit=limit)
    return json_answer([submission_row(row, held.challenge.name) for row in rows])


def _submission(submission_id: str) -> tuple[Submission, Held]:
    """A submission that who asks may see.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    row = submissions.find(submission_id)
    held = competition.with_id(row.challenge_id)
    who = g.identity
    if not owns(held) and (who is None or not who.account_id or not submissions.may_see(held, row, who.account_id)):
        raise errors.NotFound(f"there is no submission {submission_id:.100}")
    return row, held


@challenges.get("/submissions/<submission_id>/")
@documented(schemas.SubmissionRow, errors=OTHERS)
def show_submission(submission_id: str) -> Response:
    """Tell how a submission is doing, or what it got."""
    row, held = _submission(submission_id)
    told = submission_row(row, held.challenge.name)
    if row.score is not None:
        told["rank"] = _rank(held, row)
    return json_answer(told)


def _rank(held: Held, row: Submission) -> int | None:
    """The place of the submission's entrant."""
    try:
        board = leaderboard.of(held, row.phase, sees_hidden=owns(held))
    except errors.GymserveError:
        return None  # the board is hidden, or the phase is no more
    return board.places.rank(row.entrant)


@challenges.get("/submissions/<submission_id>/receipt")
@documented(schemas.Receipt, errors=(*OTHERS, 409))
def receipt(submission_id: str) -> Response:
    """Get a graded submission's receipt, signed by the server."""
    row, _ = _submission(submission_id)
    if not row.receipt:
        raise errors.Conflict(f"the submission is {row.state}: its receipt comes with its verification")
    return json_answer(row.receipt.encode())


@challenges.get("/submissions/<submission_id>/bundle")
@allow(PUBLIC)
@documented("application/zip", errors=(409,))
def bundle(submission_id: str) -> Response:
    """Get all that anyone needs to verify a submission, once its phase is over."""
    row = submissions.find(submission_id)
    name = f'attachment; filename="{row.name}.zip"'
    return Response(
        submissions.judge.bundle(row), content_type="application/zip", headers={"Content-Disposition": name}
    )


@challenges.get("/signing-key")
@allow(PUBLIC)
@documented(schemas.SigningKey)
def signing_key() -> Response:
    """Get the public key that this server signs receipts with."""
    return json_answer({"algorithm": "Ed25519", "key": submissions.judge.public_key})
