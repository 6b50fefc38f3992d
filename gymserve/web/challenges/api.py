"""Views of challenges and submissions."""

from flask import Response, request

from gymserve.accounts.identity import Identity
from gymserve.grader.proofs import signing
from gymserve.grader.server.competitions.competition import ChallengeRecord
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
PREFIX = "challenge:"  # before a challenge's name, when v1 clients send it as an environment's id


def submit(
    record: ChallengeRecord, who: Identity, *, entrant: str | None = None, by_key: bool = False
) -> schemas.BegunSubmission:
    """Begin a submission of `who`.

    Args:
        by_key: whether an old client sends its key in the body. If its script died, the token is lost, so this ends the
            script's open submissions, as the old grader did.
    """
    if who.account_id and entrant:
        raise errors.InvalidRequest("entrant is for servers without accounts: here you enter under your account's name")
    name = who.name if who.remote_key else f"{ACCOUNT_PREFIX}{who.account_id}" if who.account_id else _entrant(entrant)
    key = request.headers.get("Idempotency-Key")
    row, remaining = grading().submissions.submit(
        record,
        account_id=who.account_id or None,
        entrant=name,
        alone=by_key,
        instead=by_key and key is None,
        key=key,
        remote_key=who.remote_key,
    )
    backend().background.wake()
    assert row.token is not None
    return schemas.BegunSubmission(
        instance_id=row.token,
        token=row.token,
        submission_id=row.name,
        challenge=record.challenge.name,
        phase=row.phase,
        submissions_remaining=remaining,
    )


def _entrant(name: str | None) -> str:
    """Return the name of an entrant on a server without accounts."""
    if name is None:
        return "everybody"
    if not name.isprintable() or name.startswith((ACCOUNT_PREFIX, TEAM_PREFIX, REMOTE_PREFIX)):
        raise errors.InvalidRequest(f"entrant must be printable, and not a name of accounts or teams: {name!r:.50}")
    return name


def requested_challenge(env_id: str, *, by_key: bool) -> ChallengeRecord | None:
    """Return the challenge that a new instance is for, or None if it is an ordinary one.

    Clients name it as `challenge:<name>`; those of the old grader send the id of its environment.
    """
    if env_id.startswith(PREFIX):
        return grading().competition.find(env_id.removeprefix(PREFIX))
    if not by_key:
        return None
    catalogue = backend().instances.catalogue
    environment = catalogue.resolve(env_id).id
    at = now()
    for record in grading().competition.list():
        if record.may_submit(at) and _catalogue_id(record.challenge.environment) == environment:
            return record
    return None


def _catalogue_id(env_id: str) -> str | None:
    """Return an environment's id in the catalogue, or None if it is not installed."""
    try:
        resolved: str = backend().instances.catalogue.resolve(env_id).id
    except errors.UnknownEnvironment:
        return None
    return resolved


def submission_row(row: Submission, challenge: str, entrant: str) -> dict[str, object]:
    """Return a submission as its owner sees it, without the seeds and options of its trials.

    Args:
        entrant: the display name of the submission's entrant.
    """
    progress = grading().submissions.progress(row)
    payload: dict[str, object] = {
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
        "report": grading().submissions.outbox.summary(row.id),
    }
    if progress is not None:
        payload["progress"] = {
            "state": progress.state,
            "trial": progress.trial,
            "trials": progress.trials,
            "steps": progress.steps,
            "idle_seconds": progress.idle_seconds,
        }
        payload["steps"] = progress.steps
    return payload


@blueprint.get("/challenges/")
@allow(PUBLIC)
@documented(schemas.ChallengeCards)
def list_all() -> Response:
    """List the challenges."""
    return json_answer(
        {"challenges": [grading().competition.describe(record) for record in grading().competition.list()]}
    )


@blueprint.post("/challenges/")
@allow(ORGANISER)
@documented(schemas.ChallengeCard, body=schemas.NewChallenge, errors=OTHERS)
def define() -> Response:
    """Define a challenge, or change one of yours: as TOML, or as an object of the same shape."""
    params = parameters.parse(schemas.NewChallenge)
    definition = params.toml or params.definition
    if not definition:
        raise errors.InvalidRequest("A required request parameter 'toml' or 'definition' was not provided")
    record = grading().competition.define(
        definition,
        owner_id=identity().account_id or None,
        sees_all=identity().sees_all,
        check=lambda challenge: backend().instances.catalogue.resolve(challenge.environment),
    )
    backend().accounts.note(actor(), "challenge defined", record.challenge.name)
    return json_answer(grading().competition.describe(record))


@blueprint.get("/challenges/<name>/")
@allow(PUBLIC)
@documented(schemas.ChallengeCard)
def show(name: str) -> Response:
    """Describe a challenge: its rules, its phases with commitments to their seeds, and the keys of past phases' seeds."""
    return json_answer(grading().competition.describe(grading().competition.find(name)))


@blueprint.post("/challenges/<name>/open/")
@allow(ORGANISER)
@documented(schemas.ChallengeCard, errors=OTHERS)
def open_one(name: str) -> Response:
    """Open a challenge to submissions, within the dates of its phases."""
    return _set_open(name, True)


@blueprint.post("/challenges/<name>/close/")
@allow(ORGANISER)
@documented(schemas.ChallengeCard, errors=OTHERS)
def close_one(name: str) -> Response:
    """Close a challenge to new submissions."""
    return _set_open(name, False)


def _set_open(name: str, is_open: bool) -> Response:
    record = grading().competition.set_open(
        name, is_open, owner_id=identity().account_id or None, sees_all=identity().sees_all
    )
    backend().accounts.note(actor(), "challenge opened" if is_open else "challenge closed", name)
    return json_answer(grading().competition.describe(record))


@blueprint.post("/challenges/<name>/submissions/")
@documented(schemas.BegunSubmission, body=schemas.NewSubmission | None, errors=(*OTHERS, 409, 422, 500, 507))
def begin(name: str) -> Response:
    """Begin a submission: the returned token addresses a graded instance."""
    params = parameters.parse(schemas.NewSubmission, needed=False)
    return json_answer(submit(grading().competition.find(name), identity(), entrant=params.entrant))


@blueprint.get("/challenges/<name>/submissions/")
@documented(list[schemas.SubmissionRow], errors=OTHERS, query=parameters.PAGE)
def list_submissions(name: str) -> Response:
    """List your submissions in a challenge; its organiser sees all."""
    record = grading().competition.find(name)
    skip, limit = parameters.page()
    account_id = None if record.is_overseen_by(caller()) else identity().account_id
    rows = grading().submissions.list(record, account_id=account_id, skip=skip, limit=limit)
    names = grading().submissions.display_names(rows)
    return json_answer([submission_row(row, record.challenge.name, names[row.entrant]) for row in rows])


def find_submission(
    submission_id: str, who: Identity | None, *, public: bool = False
) -> tuple[Submission, ChallengeRecord]:
    """Find a submission that `who` may see, with its challenge.

    Args:
        public: whether the requested part is public once the phase is over.

    Raises:
        NotFound: the submission does not exist, or `who` may not see it.
    """
    row, visibility = grading().submissions.find(submission_id), grading().submissions.visibility
    record = grading().competition.with_id(row.challenge_id)
    if not (visibility.may_see if public else visibility.may_follow)(record, row, who):
        raise errors.NotFound(f"there is no submission {submission_id:.100}")
    return row, record


@blueprint.get("/submissions/<submission_id>/")
@documented(schemas.SubmissionRow, errors=OTHERS)
def show_submission(submission_id: str) -> Response:
    """Show a submission's progress or score."""
    row, record = find_submission(submission_id, caller())
    payload = submission_row(row, record.challenge.name, grading().submissions.display_names([row])[row.entrant])
    if row.score is not None:
        payload["rank"] = _rank(record, row)
    return json_answer(payload)


def _rank(record: ChallengeRecord, row: Submission) -> int | None:
    """Return the rank of the submission's entrant."""
    try:
        board = grading().leaderboard.of(record, row.phase, sees_hidden=record.is_overseen_by(caller()))
    except errors.GymserveError:
        return None  # the board is hidden, or the phase was removed
    return board.places.rank(row.entrant)


@blueprint.get("/submissions/<submission_id>/receipt")
@documented(schemas.SignedReceipt, errors=(*OTHERS, 409))
def receipt(submission_id: str) -> Response:
    """Get a graded submission's receipt, signed by the server."""
    row, _ = find_submission(submission_id, caller())
    if not row.receipt:
        raise errors.Conflict(f"the submission is {row.state}: it gets its receipt when it is verified")
    return json_answer(row.receipt.encode())


@blueprint.get("/submissions/<submission_id>/bundle")
@allow(PUBLIC)
@documented("application/zip", errors=(409,))
def bundle(submission_id: str) -> Response:
    """Download everything needed to verify a submission, once its phase is over."""
    row = grading().submissions.find(submission_id)
    name = f'attachment; filename="{row.name}.zip"'
    return Response(
        grading().submissions.judge.bundle(row), content_type="application/zip", headers={"Content-Disposition": name}
    )


@blueprint.get("/signing-key")
@allow(PUBLIC)
@documented(schemas.SigningKey)
def signing_key() -> Response:
    """Get the public key of this server's receipts."""
    key = grading().submissions.judge.public_key
    return json_answer(schemas.SigningKey("Ed25519", key, signing.fingerprint(key)))
