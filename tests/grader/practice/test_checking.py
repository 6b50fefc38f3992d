"""A check plays a challenge with a random agent for a limited time, and estimates how long a submission takes."""

import types
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from gymserve.environments import Catalogue
from gymserve.grader.challenges import definition
from gymserve.grader.practice import checking, running
from tests.grader.journals import make_challenge

TOML = """
name = "cart"
environment = "CartPole-v1"
max_episode_steps = 5
trials = { number = 3 }
phases = [ { name = "short", trials = 2 }, { name = "long", trials = 9 } ]
"""


class Toll(gymnasium.Env[np.ndarray, int]):
    """Each first step costs 10, and each later one earns 1."""

    action_space = gymnasium.spaces.Discrete(2)
    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.reward = -10.0
        return np.zeros(1), {}

    def step(self, action: int) -> Any:
        reward, self.reward = self.reward, 1.0
        return np.zeros(1), reward, False, False, {}


gymnasium.register("Toll-v0", entry_point=Toll)


@pytest.mark.parametrize(("seconds", "played"), [(1000.0, 2), (0.0, 1)])
def test_a_check_plays_the_shortest_phase_until_its_time_is_over(tmp_path: Path, seconds: float, played: int) -> None:
    findings = checking.check(definition.read(TOML), tmp_path, Catalogue([]), seconds=seconds)
    assert findings.played == len(findings.result.trials) == played
    assert findings.verdict.state == "verified" and findings.result.steps == 5 * played
    assert findings.seconds == pytest.approx(2 / played * findings.result.steps / findings.steps_per_second)


def test_a_check_measures_the_time_that_the_trials_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, play_trial = [1000.0], running._play_trial

    def play_in_three_seconds(*what: Any) -> None:
        play_trial(*what)
        clock[0] += 3.0

    monkeypatch.setattr(checking, "time", types.SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(running, "_play_trial", play_in_three_seconds)
    findings = checking.check(definition.read(TOML), tmp_path, Catalogue([]), seconds=1000.0)
    assert (findings.seconds, findings.longest_seconds) == (6.0, 6.0)
    assert findings.steps_per_second == pytest.approx(10 / 6)


@pytest.mark.parametrize(("environment", "steps"), [("CartPole-v1", 1), ("Toll-v0", 5)])
def test_a_check_does_not_warn_of_a_fair_challenge(tmp_path: Path, environment: str, steps: int) -> None:
    """The time limit suffices, and an agent that resets at once has no better score."""
    limits, trials = {"submission_seconds": 3600.0}, {"number": 20}
    fair = make_challenge(environment, max_episode_steps=steps, limits=limits, trials=trials)
    assert checking.check(fair, tmp_path, Catalogue([__name__])).warnings == ()
