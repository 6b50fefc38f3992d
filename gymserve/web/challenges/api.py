"""Challenges and submissions over HTTP."""

from typing import Any

from flask import Response, request

from grader.proofs import signing
from grader.server.competitions.competition import Held
from gymserve.accounts.identity import Identity
from gymserve.protocol import errors, wire
from gymserve.store.models import ACCOUNT_PREFIX, REMOTE_PREFIX, TEAM_PREFIX, Submission, now
from gymserve.web.challenges import schemas
from gymserve.web.http import parameters
from gymserve.web.http.access import ORGANISER, PUBLIC, actor, allow, caller, identity
from gymserve.web.http.answers import json_answer
from gymserve.web.http.backend import backend, grading
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.openapi import documented

blueprint = Blueprint("challenges", scope="submissions", tag="Challenges")
OTHERS = (401, 403)
PREFIX = "challenge:"  # before a challenge's name, where v1 asks for an environment's id


def submit(held: Held, who: Identity, *, entrant: str | None = None, by_key: bool = False) -> dict[str, Any]:
    """Begins a submission of `who`; what a creation answers of it.

    Args:
        by_key: an old client asks, whose key stands in the body: of a script that died it has lost the token, so what
            that has left under way is ended, as the old grader did.
    """
    if who.account_id and entrant:
        raise errors.InvalidRequest("entrant is for servers without accounts: yours is your account's name")
    name = who.name if who.remote_key else f"{ACCOUNT_PREFIX}{who.account_id}" if who.account_id else _entrant(entrant)
    key = request.headers.get("Idempotency-Key")
    row, left = grading().submissions.submit(
        held,
        account_id=who.account_id or None,
        entrant=name,
        alone=by_key,
        instead=by_key and key is None,
        key=key,
        remote_key=who.remote_key,
    )
    backend().background.wake()
    return {
        "instance_id": row.token,
        "token": row.token,
        "submission_id": row.name,
        "challenge": held.challenge.name,
        "phase": row.phase,
        "submissions_remaining": left,
    }


def _entrant(name: str | None) -> str:
    """What an entrant is called where there are no accounts."""
    if name is None:
        return "everybody"
    if not name.isprintable() or name.startswith((ACCOUNT_PREFIX, TEAM_PREFIX, REMOTE_PREFIX)):
        raise errors.InvalidRequest(f"entrant must be printable, and no account's or team's, not {name!r:.50}")
    return name


def requested_challenge(env_id: str, *, by_key: bool) -> Held | None:
    """The challenge that a creation asks for: `challenge:<name>`, or, of the old grader's clients, its environment's id."""
    if env_id.startswith(PREFIX):
        return grading().competition.find(env_id.removeprefix(PREFIX))
    if not by_key:
        return None
    catalogue = backend().instances.catalogue
    environment = catalogue.resolve(env_id).id
    at = now()
    for held in grading().competition.list():
        if held.may_submit(at) and _leads_to(held.challenge.environment) == environment:
            return held
    return None


def _leads_to(env_id: str) -> str | None:
    """The id in the catalogue; None for an environment that is not installed (any more)."""
    try:
        resolved: str = backend().instances.catalogue.resolve(env_id).id
    except errors.UnknownEnvironment:
        return None
    return resolved


def submission_row(row: Submission, challenge: str, entrant: str) -> dict[str, Any]:
    """A submission as its owner sees it; never seeds or options of trials. `entrant`: what that is called."""
    standing = grading().submissions.standing(row)
    told: dict[str, Any] = {
        "submission_id": row.name,
        "challenge": challenge,
        "phase": row.phase,
        "entrant": entrant,
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
        "report": grading().submissions.outbox.told(row.id),
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


@blueprint.get("/challenges/")
@allow(PUBLIC)
@documented(schemas.Challenges)
def list_all() -> Response:
    """List the challenges."""
    return json_answer({"challenges": [grading().competition.describe(held) for held in grading().competition.list()]})


@blueprint.post("/challenges/")
@allow(ORGANISER)
@documented(schemas.Challenge, body=schemas.ChallengeOrder, errors=OTHERS)
def define() -> Response:
    """Define a challenge, or change one's own: as TOML, or as an object of the same shape."""
    params = parameters.parse(schemas.ChallengeOrder)
    definition = params.toml or params.definition
    if not definition:
        raise errors.InvalidRequest("A required request parameter 'toml' or 'definition' was not provided")
    held = grading().competition.define(
        definition,
        owner_id=identity().account_id or None,
        sees_all=identity().sees_all,
        check=lambda challenge: backend().instances.catalogue.resolve(challenge.environment),
    )
    backend().accounts.note(actor(), "challenge defined", held.challenge.name)
    return json_answer(grading().competition.describe(held))


@blueprint.get("/challenges/<name>/")
@allow(PUBLIC)
@documented(schemas.Challenge)
def show(name: str) -> Response:
    """Describe a challenge: rules, phases, commitments to their seeds, and the seeds' keys once they are over."""
    return json_answer(grading().competition.describe(grading().competition.find(name)))


@blueprint.post("/challenges/<name>/open/")
@allow(ORGANISER)
@documented(schemas.Challenge, errors=OTHERS)
def open_one(name: str) -> Response:
    """Open a challenge, within its phases' dates."""
    return _set_open(name, True)


@blueprint.post("/challenges/<name>/close/")
@allow(ORGANISER)
@documented(schemas.Challenge, errors=OTHERS)
def close_one(name: str) -> Response:
    """Close a challenge to new submissions."""
    return _set_open(name, False)


def _set_open(name: str, is_open: bool) -> Response:
    held = grading().competition.set_open(
        name, is_open, owner_id=identity().account_id or None, sees_all=identity().sees_all
    )
    backend().accounts.note(actor(), "challenge opened" if is_open else "challenge closed", name)
    return json_answer(grading().competition.describe(held))


@blueprint.post("/challenges/<name>/submissions/")
@documented(schemas.Submitted, body=schemas.SubmissionOrder, body_needed=False, errors=(*OTHERS, 409, 422, 500, 507))
def begin(name: str) -> Response:
    """Begin a submission: the answer's token addresses a graded instance."""
    params = parameters.parse(schemas.SubmissionOrder, needed=False)
    return json_answer(submit(grading().competition.find(name), identity(), entrant=params.entrant))


@blueprint.get("/challenges/<name>/submissions/")
@documented(schemas.SubmissionRow, many=True, errors=OTHERS, query=parameters.PAGE)
def list_submissions(name: str) -> Response:
    """List one's own submissions in a challenge; its organiser: all."""
    held = grading().competition.find(name)
    skip, limit = parameters.page()
    mine = None if held.is_overseen_by(caller()) else identity().account_id
    rows = grading().submissions.list(held, account_id=mine, skip=skip, limit=limit)
    called = grading().submissions.called(rows)
    return json_answer([submission_row(row, held.challenge.name, called[row.entrant]) for row in rows])


def find_submission(submission_id: str, who: Identity | None, *, public: bool = False) -> tuple[Submission, Held]:
    """A submission that `who` may see.

    Args:
        public: what is asked for is for everybody once the phase is over.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    row, visibility = grading().submissions.find(submission_id), grading().submissions.visibility
    held = grading().competition.with_id(row.challenge_id)
    if not (visibility.may_see if public else visibility.may_follow)(held, row, who):
        raise errors.NotFound(f"there is no submission {submission_id:.100}")
    return row, held


@blueprint.get("/submissions/<submission_id>/")
@documented(schemas.SubmissionRow, errors=OTHERS)
def show_submission(submission_id: str) -> Response:
    """Tell how a submission is doing, or what it got."""
    row, held = find_submission(submission_id, caller())
    told = submission_row(row, held.challenge.name, grading().submissions.called([row])[row.entrant])
    if row.score is not None:
        told["rank"] = _rank(held, row)
    return json_answer(told)


def _rank(held: Held, row: Submission) -> int | None:
    """The place of the submission's entrant."""
    try:
        board = grading().leaderboard.of(held, row.phase, sees_hidden=held.is_overseen_by(caller()))
    except errors.GymserveError:
        return None  # the board is hidden, or the phase is no more
    return board.places.rank(row.entrant)


@blueprint.get("/submissions/<submission_id>/receipt")
@documented(schemas.Receipt, errors=(*OTHERS, 409))
def receipt(submission_id: str) -> Response:
    """Get a graded submission's receipt, signed by the server."""
    row, _ = find_submission(submission_id, caller())
    if not row.receipt:
        raise errors.Conflict(f"the submission is {row.state}: its receipt comes with its verification")
    return json_answer(row.receipt.encode())


@blueprint.get("/submissions/<submission_id>/bundle")
@allow(PUBLIC)
@documented("application/zip", errors=(409,))
def bundle(submission_id: str) -> Response:
    """Get all that anyone needs to verify a submission, once its phase is over."""
    row = grading().submissions.find(submission_id)
    name = f'attachment; filename="{row.name}.zip"'
    return Response(
        grading().submissions.judge.bundle(row), content_type="application/zip", headers={"Content-Disposition": name}
    )


@blueprint.get("/signing-key")
@allow(PUBLIC)
@documented(schemas.SigningKey)
def signing_key() -> Response:
    """Get the public key that this server signs receipts with."""
    key = grading().submissions.judge.public_key
    return json_answer({"algorithm": "Ed25519", "key": key, "fingerprint": signing.fingerprint(key)})
