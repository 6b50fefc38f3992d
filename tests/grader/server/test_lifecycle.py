"""What agents learn of their active submissions, and what the challenge server's answer does to a new one."""

from collections.abc import Iterator
from typing import Any

import pytest

from gymserve.grader.server.competitions.teams import Teams
from gymserve.grader.server.reports.crowdai import CrowdAI, Refused
from gymserve.grader.server.reports.outbox import Outbox
from gymserve.grader.server.submissions.lifecycle import Submissions
from gymserve.grader.server.submissions.storage import NAME
from gymserve.protocol import errors
from gymserve.settings import Settings
from gymserve.store.models import Account, Submission
from tests.grader.server.challenge_server import ChallengeServer
from tests.grader.server.place import SETTINGS, TOML, Place


def define(place: Place, limits: str) -> None:
    text = TOML.replace("submissions = 3", limits) + "teams = { allowed = true }\n"
    place.record = place.competition.define(text, owner_id=None)


def account(place: Place, name: str) -> int:
    with place.database.writing() as session:
        session.add(row := Account(email=name, email_key=name, password_hash="-", role="participant"))
    return row.id


def refusal(place: Place, account_id: int | None = None) -> errors.TooFast:
    with pytest.raises(errors.TooFast, match="submissions under way") as caught:
        place.submissions.submit(place.record, account_id=account_id, entrant="a")
    return caught.value


def test_a_refusal_names_the_active_submissions_but_not_how_to_end_a_team_mates(place: Place) -> None:
    define(place, "concurrent = 2")
    teams, (ann, bob) = Teams(place.database), (account(place, name) for name in ("ann", "bob"))
    teams.create(place.record, ann, "Poles")
    teams.join(place.record, bob, teams.invite(place.record, ann))
    own, other = (place.submissions.submit(place.record, account_id=who, entrant="")[0] for who in (ann, bob))
    text = str(refusal(place, ann))
    assert "already have 2 submissions" in text and f"{own.name} (POST /v1/envs/{own.token}/close/ ends it)" in text
    assert f"{other.name} of your team" in text and str(other.token) not in text


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [("", SETTINGS.idle_seconds), (", idle_seconds = 600", 600.0), (", submission_seconds = 60", 60.0)],
)
def test_a_refusal_says_when_the_first_active_submission_would_end(place: Place, limits: str, seconds: float) -> None:
    define(place, f"concurrent = 1{limits}")
    row = place.begin()
    assert seconds - 10 < refusal(place).retry_after <= seconds
    place.play(row)
    assert 1.0 <= refusal(place).retry_after <= 10.0  # the trials are over


def test_a_refusal_says_when_a_submission_without_an_instance_would_be_void(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any, **__: Any) -> str:
        raise SystemError("killed")

    define(place, "concurrent = 1")
    with monkeypatch.context() as patched:
        patched.setattr(place.grader.instances, "create", crash)
        with pytest.raises(SystemError):
            place.begin()
    assert 50.0 < refusal(place).retry_after <= 60.0


def test_names_are_those_that_the_storage_recognizes(place: Place) -> None:
    assert all(NAME.fullmatch(place.begin(key=key).name) for key in (None, "k"))


@pytest.fixture
def server() -> Iterator[ChallengeServer]:
    started = ChallengeServer()
    yield started
    started.stop()


def submit_and_report(place: Place, server: ChallengeServer) -> Submission:
    settings = Settings(CHALLENGE_SERVER_URL=server.url, CHALLENGE_SERVER_TOKEN="secret-token")
    data = place.submissions.storage.journals.parent
    outbox = Outbox(place.database, CrowdAI.of(settings), data)
    reporting = Submissions(place.database, place.competition, place.grader.instances, data, SETTINGS, outbox)
    return reporting.submit(place.record, account_id=None, entrant="a", remote_key="key1")[0]


def test_a_submission_begins_if_the_challenge_server_accepts_it(place: Place, server: ChallengeServer) -> None:
    row = submit_and_report(place, server)
    assert (row.state, row.counts) == ("created", True) and place.submissions.progress(row) is not None
    assert [entry["meta"]["submission"] for entry in server.submissions.values()] == [row.name]


def test_a_submission_begins_if_the_challenge_server_does_not_answer(place: Place, server: ChallengeServer) -> None:
    server.faults = ("500",)
    row = submit_and_report(place, server)
    assert (row.state, row.counts) == ("created", True) and place.submissions.progress(row) is not None


def test_a_submission_that_the_challenge_server_refuses_is_void(place: Place, server: ChallengeServer) -> None:
    server.refuse = "no slots" + "." * 500
    with pytest.raises(Refused, match="no slots"):
        submit_and_report(place, server)
    (row,) = place.submissions.list(place.record)
    assert (row.state, row.counts, row.token, row.reason) == ("void", False, None, "no slots" + "." * 292)
