"""Somebody plays on after a phase has closed, and asks for all that would tell the seeds of the trials that are left."""

import datetime
import itertools
from typing import Any

import pytest

from grader.challenges import seeds
from gymserve.journal import Created, read
from gymserve.store.models import now
from tests.conftest import Secured
from tests.support.servers import wait_for
from tests.web.challenges.test_challenges import begin, define, play, settled

LAKE = {"environment": "FrozenLake-v1", "max_episode_steps": 20, "scoring": {"worst": 0}, "trials": {"number": 3}}


def closing(secured: Secured, seconds: float, **more: Any) -> None:
    """The challenge, with a phase that closes so many seconds from now."""
    at = now() + datetime.timedelta(seconds=seconds)
    define(secured, name="lake", phases=[{"name": "public", "closes": at.isoformat()}], **{**LAKE, **more})


def secrets_of(secured: Secured, made: dict[str, Any]) -> list[int]:
    """The seeds of a submission's trials, as its journal has them."""
    data = secured.server.data
    live, kept = data / "instances" / made["token"] / "journal", data / "submissions" / made["submission_id"]
    first = next(read(live if live.exists() else kept))
    assert isinstance(first, Created)
    return [trial.seed for trial in first.recipe.trials]


def key_shown(secured: Secured) -> str | None:
    (phase,) = secured.server.get("/challenges/lake/").json["phases"]
    return phase["key"]


@pytest.mark.guarantee("a phase closes while submissions of it go on")
def test_nothing_tells_the_seeds_of_the_trials_that_are_left(secured: Secured) -> None:
    closing(secured, 3600)
    done, going = begin(secured, "lake", "other"), begin(secured, "lake")
    play(secured, done["token"], "other")
    secured.ask("other", "POST", f"/v1/envs/{done['token']}/close/")
    settled(secured, done["submission_id"], "other")
    secret = secrets_of(secured, going)
    assert play(secured, going["token"], trials=1) and secret == secrets_of(secured, done)

    closing(secured, -1)
    assert secured.ask("participant", "POST", "/challenges/lake/submissions/").status == 404
    mine, others = f"/submissions/{going['submission_id']}", f"/submissions/{done['submission_id']}"
    paths = [
        "/challenges/lake/", "/challenges/", "/challenges/lake/leaderboard", "/challenges/lake/submissions/",
        "/boards/lake", f"/boards/lake{mine}", f"/boards/lake{others}", f"/v1/envs/{going['token']}/",
        *(f"{one}{what}" for one in (mine, others) for what in ("/", "/receipt", "/bundle", "/media/", "/media/video.webm")),
    ]  # fmt: skip
    forms = [form(one) for one in secret for form in (str, lambda one: f"{one:x}")]
    for who, path in itertools.product(("participant", "other", "nobody"), paths):
        answer = secured.ask(who, "GET", path)
        assert not any(form.encode() in answer.body for form in forms), (who, path)
        assert not path.endswith("/bundle") or answer.status in (401, 404, 409), (who, path)
    assert key_shown(secured) is None

    assert play(secured, going["token"]) > 0  # it was not ended: what was asked came too early
    secured.ask("participant", "POST", f"/v1/envs/{going['token']}/close/")
    settled(secured, going["submission_id"])
    key = wait_for(lambda: key_shown(secured))
    assert [seeds.seed(bytes.fromhex(key), trial) for trial in (1, 2, 3)] == secret
    for one in (mine, others):
        assert wait_for(lambda one=one: secured.ask("nobody", "GET", f"{one}/bundle").status == 200)

    closing(secured, 3600)  # again, now that everybody has the key
    again = begin(secured, "lake")
    assert not set(secrets_of(secured, again)) & {seeds.seed(bytes.fromhex(key), trial) for trial in range(1, 99)}
    assert key_shown(secured) is None
