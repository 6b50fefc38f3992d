"""Videos and pictures of submissions: over the API, and on a submission's page."""

from collections.abc import Callable
from typing import IO, Any

from flask import Blueprint, Response, current_app, g, redirect, render_template, request, url_for
from werkzeug.local import LocalProxy
from werkzeug.wsgi import FileWrapper

from grader.competition import Competition, Held
from grader.submissions import Submissions
from gymserve import errors, wire
from gymserve.accounts.identity import Identity
from gymserve.recording.artefacts import TYPES
from gymserve.recording.media import Media
from gymserve.store.models import Account, Submission, now
from gymserve.web import grading_schemas as schemas
from gymserve.web.access import ADMIN, HOW, ORGANISER, PUBLIC, SCOPES, actor, allow, check_scope
from gymserve.web.access import settings as server_settings
from gymserve.web.answers import json_answer
from gymserve.web.openapi import documented, in_parts
from gymserve.web.pages import current, pages, visitor

media = Blueprint("media", __name__)
competition: Competition = LocalProxy(lambda: current_app.extensions["competition"])  # type: ignore[assignment]
submissions: Submissions = LocalProxy(lambda: current_app.extensions["submissions"])  # type: ignore[assignment]
kept: Media = LocalProxy(lambda: current_app.extensions["media"])  # type: ignore[assignment]


def may_see(row: Submission, held: Held, who: Identity | None) -> bool:
    """Whether a submission's page and media are for `who`: its own account, the challenge's organiser, administrators; and
    everybody once its phase is over, as with its bundle."""
    if who is not None and (who.sees_all or (who.account_id and submissions.may_see(held, row, who.account_id))):
        return True
    if who is not None and who.has_role(ORGANISER) and held.owner_id == who.account_id:
        return True
    return submissions.judge.is_over(row)


def linked(held: Held, phase: str, account: Account | None) -> Callable[[str], bool]:
    """Whether whoever looks at a phase's board may see an entrant's submission: one's own, and all once the phase is over."""
    all_of_them = server_settings().AUTH == "open" or any(
        each.is_revealed(now()) for each in held.challenge.phases if each.name == phase
    )
    if account is not None:
        all_of_them = all_of_them or account.role == ADMIN or account.id == held.owner_id
    return lambda entrant: all_of_them or (account is not None and entrant == account.email)


def _visible(submission_id: str, who: Identity | None) -> tuple[Submission, Held]:
    """Raises: NotFound: there is none, or it is not for `who` to see."""
    row = submissions.find(submission_id)
    held = competition.with_id(row.challenge_id)
    if not may_see(row, held, who):
        raise errors.NotFound(f"there is no submission {submission_id:.100}")
    return row, held


def _asked_for(submission_id: str) -> tuple[Submission, Held]:
    """What the API's caller asks for.

    Raises:
        Unauthenticated: nobody has said who asks, and it is not for everybody.
        Forbidden: the key is not good for submissions.
    """
    who: Identity | None = g.identity
    if who is not None:
        check_scope(who, SCOPES["media"])
    try:
        return _visible(submission_id, who)
    except errors.NotFound:
        if who is None:
            raise errors.Unauthenticated(HOW) from None
        raise


@media.get("/submissions/<submission_id>/media/")
@allow(PUBLIC)
@documented(schemas.Media, errors=(401, 403))
def show_media(submission_id: str) -> Response:
    """Tell which videos and pictures there are of a submission, and how far they are."""
    row, _ = _asked_for(submission_id)
    return json_answer({"submission_id": row.name, **kept.standing(row.name)})


@media.post("/submissions/<submission_id>/media/")
@allow(ORGANISER)
@documented(schemas.Media, errors=(401, 403, 409, 507))
def make_media(submission_id: str) -> Response:
    """Have a submission's videos made anew: after a failure, or where there were none."""
    row, held = _visible(submission_id, g.identity)
    if not (g.identity.sees_all or held.owner_id == g.identity.account_id):
        raise errors.NotFound(f"there is no submission {submission_id:.100}")
    if not row.receipt:
        raise errors.Conflict(f"the submission is {row.state}: videos are made of what was graded")
    if not kept.is_on:
        raise errors.Conflict(kept.standing(row.name)["reason"])
    title = held.challenge.name
    kept.order_submission(row.name, title=title, challenge=row.challenge_id, again=True)
    current_app.extensions["accounts"].note(actor(), "videos ordered", row.name)
    current_app.extensions["background"].wake()
    return json_answer({"submission_id": row.name, **kept.standing(row.name)})


@media.get("/submissions/<submission_id>/media/<kind>")
@allow(PUBLIC)
@documented("video/webm", also=in_parts("video/webm"), media=tuple(TYPES.values()), errors=(401, 403, 416))
def fetch(submission_id: str, kind: str) -> Response:
    """Get a video or a picture of a submission: `video.webm`, `video.mp4`, `video.gif`, `poster.jpg`, `thumbnail.mp4` or
    `thumbnail.jpg`; ranges and ETags work."""
    row, _ = _asked_for(submission_id)
    return sent(kept.open(row.name, kind), kind, row.name)


def sent(opened: tuple[IO[bytes], int], kind: str, name: str) -> Response:
    """A file, or the part of it that is asked for.

    Args:
        opened: (the file, its size in bytes).
        name: whose it is.
    """
    file, size = opened
    response: Any = Response(FileWrapper(file), content_type=TYPES[kind], direct_passthrough=True)
    response.content_length = size
    response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(f"{name}-{kind}-{size}")
    try:
        answer: Response = response.make_conditional(request, accept_ranges=True, complete_length=size)
        return answer
    except Exception:
        file.close()
        raise


@pages.get("/boards/<name>/submissions/<submission_id>")
@allow(PUBLIC)
def submission_page(name: str, submission_id: str) -> Any:
    """A submission for people: its score, its trials, its video."""
    who = visitor()
    try:
        row, held = _visible(submission_id, who)
        if held.challenge.name != name:
            raise errors.NotFound(f"there is no submission {submission_id:.100} in {name:.100}")
    except errors.NotFound:
        if who is None:
            return redirect(url_for("pages.login"), 303)
        raise
    return render_template(
        "submission.html",
        row=row,
        challenge=held.challenge,
        trials=wire.read_json(row.trials.encode()),
        media=kept.standing(row.name),
        standing=submissions.standing(row),
        report=submissions.outbox.told(row.id),
        account=current(),
    )


@pages.get("/boards/<name>/submissions/<submission_id>/<kind>")
@allow(PUBLIC)
def submission_file(name: str, submission_id: str, kind: str) -> Response:
    """A video or a picture, for the page."""
    row, _ = _visible(submission_id, visitor())
    return sent(kept.open(row.name, kind), kind, row.name)
