"""Views for an organiser's decision about a submission that cannot be replayed."""

from flask import Response

from gymserve.grader.server.competitions.competition import ChallengeRecord
from gymserve.protocol import errors
from gymserve.store.models import Submission
from gymserve.web.challenges import schemas
from gymserve.web.challenges.api import find_submission, submission_row
from gymserve.web.http.access import ORGANISER, actor, allow, identity
from gymserve.web.http.answers import json_answer
from gymserve.web.http.backend import backend, grading
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.openapi import documented

blueprint = Blueprint("decisions", scope="submissions", tag="Challenges")
ERRORS = (401, 403, 409)


@blueprint.post("/submissions/<submission_id>/accept/")
@allow(ORGANISER)
@documented(schemas.SubmissionRow, errors=ERRORS)
def accept(submission_id: str) -> Response:
    """Accept a submission that cannot be replayed."""
    return _answer(submission_id, accept=True)


@blueprint.post("/submissions/<submission_id>/void/")
@allow(ORGANISER)
@documented(schemas.SubmissionRow, errors=ERRORS)
def void(submission_id: str) -> Response:
    """Void a submission that cannot be replayed; its entrant may submit once more."""
    return _answer(submission_id, accept=False)


def _answer(submission_id: str, *, accept: bool) -> Response:
    row, record = decide(submission_id, accept=accept)
    return json_answer(
        submission_row(row, record.challenge.name, grading().submissions.display_names([row])[row.entrant])
    )


def decide(submission_id: str, *, accept: bool) -> tuple[Submission, ChallengeRecord]:
    """Record the organiser's decision, and return the submission after it.

    Raises:
        Forbidden: the caller is not the challenge's organiser.
    """
    row, record = find_submission(submission_id, identity())
    if not record.is_overseen_by(identity()):
        raise errors.Forbidden("only the challenge's organiser may accept or void its submissions")
    grading().submissions.judge.decide(row, accept=accept)
    backend().accounts.note(actor(), "submission accepted" if accept else "submission voided", row.name)
    return grading().submissions.find(row.name), record
