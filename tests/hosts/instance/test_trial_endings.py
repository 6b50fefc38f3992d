"""How trials of graded instances end: failed, lost, crashed, broken or late, and what each counts for."""

from collections.abc import Callable
from typing import Any

import pytest

from gymserve.environments import Catalogue
from gymserve.grader.challenges import definition
from gymserve.grader.proofs import verification
from gymserve.grader.scores import scoring
from gymserve.journal import Ended
from gymserve.journal.records import Spent
from tests.hosts.instance.graders import PLAN, SEEDS, Grader
from tests.support.environments.faulty import EXIT, RAISE, SEGFAULT, Telltale
from tests.support.servers import Answer

WORST = definition.from_dict({"name": "c", "environment": "CartPole-v1", "scoring": {"worst": 0}}).scoring


@pytest.mark.parametrize("action", [Telltale.NAN, Telltale.INFINITE])
def test_a_reward_that_is_not_finite_fails_the_trial(grader: Grader, action: int) -> None:
    token = grader.create("Telltale-v0")
    grader.reset(token, seq=0)
    assert grader.step(token, seq=1).json["reward"] == 1.0
    failed = grader.step(token, action, seq=2)
    assert failed.json["done"] and "trial_failed" in failed.json["info"]
    assert grader.step(token, seq=3).status == 409
    grader.kill_hosts()
    assert grader.step(token, action, seq=2).body == failed.body
    assert grader.step(token, seq=3).status == 409
    assert grader.reset(token, seq=3).json["observation"]
    reasons = [record.reason for record in grader.records(token) if isinstance(record, Ended)]
    assert len(reasons) == 1 and reasons[0].startswith("failed")


@pytest.mark.parametrize("seq", [pytest.param(True, marks=pytest.mark.long), False])
def test_killed_hosts_during_a_trial_change_no_answer(grader: Grader, seq: bool) -> None:
    token, calm = grader.create("CartPole-v1", max_episode_steps=9), grader.create("CartPole-v1", max_episode_steps=9)
    numbers = iter(range(1000))

    def ask(kill: bool, call: Callable[..., Answer], *args: Any) -> Any:
        if kill:
            grader.kill_hosts()
            return call(*args, **({"seq": next(numbers)} if seq else {})).json
        return call(*args).json

    for trial in range(3):
        assert ask(True, grader.reset, token) == ask(False, grader.reset, calm)
        for turn in range(9):
            killed = ask(seq or turn == 4, grader.step, token, turn % 2)
            undisturbed = ask(False, grader.step, calm, turn % 2)
            assert killed == undisturbed
            assert grader.describe(token)["trial"] == trial + 1
    grader.kill_hosts()
    assert grader.reset(token).json["observation"] is None
    assert grader.step(token).status == 409


def test_a_trial_that_cannot_be_revived_is_recorded_as_lost(grader: Grader) -> None:
    token = grader.create("Forgetful-v0")
    grader.reset(token)
    grader.step(token)
    grader.kill_hosts()
    refused = grader.step(token)
    assert refused.status == 409 and refused.json["error"] == "NotReplayable"
    assert grader.reset(token).json["observation"]
    assert [record.reason[:5] for record in grader.records(token) if isinstance(record, Ended)] == ["lost:"]


END = ["reset", "step", "close", "nothing"]


def end(grader: Grader, token: str, how: str) -> list[scoring.TrialResult]:
    """Makes the agent's next request after the host has ended, and returns the instance's trials."""
    if how == "close":
        assert grader.server.post(f"/v1/envs/{token}/close/").status == 204
    elif how == "nothing":
        grader.describe(token)  # as the grader's worker does regularly
    else:
        answer = {"reset": grader.reset, "step": grader.step}[how](token)
        assert answer.status == (200 if how == "reset" else 409)
    return scoring.trials_of(grader.records(token))


@pytest.mark.guarantee("a trial is lost with its host, and does not replay")
@pytest.mark.parametrize("how", END)
def test_a_trial_that_the_server_lost_is_lost_whatever_the_agent_requests_next(grader: Grader, how: str) -> None:
    token = grader.create("Forgetful-v0")
    grader.reset(token)
    grader.step(token)
    grader.kill_hosts()
    trials = end(grader, token, how)
    assert trials[0].state == "lost"
    assert scoring.score_trials(trials, WORST).void


@pytest.mark.guarantee("a trial is lost with its host, and does not replay")
@pytest.mark.parametrize("how", END)
@pytest.mark.parametrize("action", [SEGFAULT, EXIT, RAISE])
def test_a_loss_that_the_agent_caused_counts_as_a_failure(grader: Grader, how: str, action: int) -> None:
    """Otherwise agents could have bad runs voided by crashing the environment."""
    token = grader.create("Fragile-v0")
    grader.reset(token)
    grader.step(token)
    assert grader.step(token, action).status in (409, 500)
    trials = end(grader, token, how)
    assert trials[0].state == "failed", trials
    assert not scoring.score_trials(trials, WORST).void
    verdict = verification.verify(grader.records(token), Catalogue(["tests.support.environments.faulty"]))
    assert verdict.state == "verified", verdict


def test_a_crash_loses_nothing_if_the_trial_replays(grader: Grader) -> None:
    token = grader.create("Faulty-v0")
    grader.reset(token)
    assert grader.step(token, SEGFAULT).status == 500
    assert grader.step(token).status == 200  # it replays, so nothing is lost
    assert not (grader.server.data / "instances" / token / "blame").exists()


@pytest.mark.guarantee("an agent wins time by a crash, or loses some by a neighbour")
@pytest.mark.parametrize("crash", ["its own", "the host's"])
def test_spent_overage_stays_spent_after_a_crash(grader: Grader, crash: str) -> None:
    token = grader.create("Telltale-v0", allowance={"step_seconds": 0.0, "overage_seconds": 1000.0})
    grader.reset(token)
    banks = []
    for _ in range(3):
        for _ in range(2):  # after a kill from outside, the time of the first step restarts
            grader.step(token)
        banks.append([record.left for record in grader.records(token) if isinstance(record, Spent)][-1])
        if crash == "its own":
            assert grader.step(token, Telltale.RAISE).status == 500
        else:
            grader.kill_hosts()
    assert 1000.0 > banks[0] > banks[1] > banks[2]
    verdict = verification.verify(grader.records(token), Catalogue(["tests.support.environments.faulty"]))
    assert verdict.state == "verified", verdict


def test_a_trial_that_cannot_begin_is_recorded_as_broken(grader: Grader) -> None:
    plan = [PLAN[0], {"seed": SEEDS[1], "options": {"fails": True}, "kwargs": {}}]
    token = grader.create("Telltale-v0", plan)
    grader.reset(token)
    for _ in range(2):
        failed = grader.reset(token)
        assert failed.status == 500 and str(SEEDS[1]) not in failed.json["message"]
        assert grader.step(token).status == 200  # the current trial goes on
    assert [record.reason[:7] for record in grader.records(token) if isinstance(record, Ended)] == ["broken:"]
    assert grader.step(token, Telltale.END).status == 200
    assert [trial.state for trial in scoring.trials_of(grader.records(token))] == ["played", "lost"]
    verdict = verification.verify(grader.records(token), Catalogue(["tests.support.environments.faulty"]))
    assert verdict.state == "verified", verdict


def test_an_agent_that_takes_too_long_loses_the_rest_of_the_trial(grader: Grader) -> None:
    token = grader.create("Telltale-v0", allowance={"step_seconds": 0.0, "overage_seconds": 0.2})
    grader.reset(token, seq=0)
    answers = [grader.step(token, seq=1)]
    while answers[-1].status == 200:
        answers.append(grader.step(token, seq=len(answers) + 1))
    assert len(answers) > 2 and answers[-1].status == 409 and "took too long" in answers[-1].json["message"]
    grader.kill_hosts()
    assert grader.step(token, seq=len(answers)).status == 409
    assert [record.reason[:5] for record in grader.records(token) if isinstance(record, Ended)] == ["late:"]
    assert grader.reset(token).json["observation"]
