"""A participant who plays on after a phase has closed cannot learn the seeds of the remaining trials."""

import datetime
import itertools
from typing import Any

import pytest

from gymserve.grader.challenges import seeds
from gymserve.journal import Created, read
from gymserve.store.models import now
from tests.conftest import Secured
from tests.support.servers import wait_for
from tests.web.challenges.playing import begin, define, play, settled

LAKE = {"environment": "FrozenLake-v1", "max_episode_steps": 20, "scoring": {"worst": 0}, "trials": {"number": 3}}


def define_lake(secured: Secured, seconds: float, **more: Any) -> None:
    """Define the challenge, with a phase that closes `seconds` from now."""
    at = now() + datetime.timedelta(seconds=seconds)
    define(secured, name="lake", phases=[{"name": "public", "closes": at.isoformat()}], **{**LAKE, **more})


def secrets_of(secured: Secured, submission: dict[str, Any]) -> list[int]:
    """Return the seeds of a submission's trials, from its journal."""
    data = secured.server.data
    live, kept = (
        data / "instances" / submission["token"] / "journal",
        data / "submissions" / submission["submission_id"],
    )
    first = next(read(live if live.exists() else kept))
    assert isinstance(first, Created)
    return [trial.seed for trial in first.recipe.trials]


def revealed_key(secured: Secured) -> str | None:
    (phase,) = secured.server.get("/challenges/lake/").json["phases"]
    return phase["key"]


@pytest.mark.guarantee("a phase closes while submissions of it go on")
def test_nothing_reveals_the_seeds_of_the_remaining_trials(secured: Secured) -> None:
    define_lake(secured, 3600)
    done, running = begin(secured, "lake", "other"), begin(secured, "lake")
    play(secured, done["token"], "other")
    secured.ask("other", "POST", f"/v1/envs/{done['token']}/close/")
    settled(secured, done["submission_id"], "other")
    trial_seeds = secrets_of(secured, running)
    assert play(secured, running["token"], trials=1) and trial_seeds == secrets_of(secured, done)

    define_lake(secured, -1)
    assert secured.ask("participant", "POST", "/challenges/lake/submissions/").status == 404
    own, others = f"/submissions/{running['submission_id']}", f"/submissions/{done['submission_id']}"
    paths = [
        "/challenges/lake/", "/challenges/", "/challenges/lake/leaderboard", "/challenges/lake/submissions/",
        "/boards/lake", f"/boards/lake{own}", f"/boards/lake{others}", f"/v1/envs/{running['token']}/",
        *(f"{one}{what}" for one in (own, others) for what in ("/", "/receipt", "/bundle", "/media/", "/media/video.webm")),
    ]  # fmt: skip
    forms = [form(one) for one in trial_seeds for form in (str, lambda one: f"{one:x}")]
    for who, path in itertools.product(("participant", "other", "nobody"), paths):
        answer = secured.ask(who, "GET", path)
        assert not any(form.encode() in answer.body for form in forms), (who, path)
        assert not path.endswith("/bundle") or answer.status in (401, 404, 409), (who, path)
    assert revealed_key(secured) is None

    assert play(secured, running["token"]) > 0  # the early requests have not ended it
    secured.ask("participant", "POST", f"/v1/envs/{running['token']}/close/")
    settled(secured, running["submission_id"])
    key = wait_for(lambda: revealed_key(secured))
    assert [seeds.seed(bytes.fromhex(key), trial) for trial in (1, 2, 3)] == trial_seeds
    for one in (own, others):
        assert wait_for(lambda one=one: secured.ask("nobody", "GET", f"{one}/bundle").status == 200)

    define_lake(secured, 3600)  # open it again, now that everybody knows the key
    again = begin(secured, "lake")
    assert not set(secrets_of(secured, again)) & {seeds.seed(bytes.fromhex(key), trial) for trial in range(1, 99)}
    assert revealed_key(secured) is None
