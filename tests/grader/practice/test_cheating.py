"""Known attempts to score without playing well: none beats random actions."""

import functools
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gymserve.grader.challenges import definition, seeds
from gymserve.grader.challenges.challenge import Challenge
from gymserve.grader.practice import running
from gymserve.grader.scores import scoring
from gymserve.hosts.instance import revival
from gymserve.hosts.pulse import Pulse
from gymserve.journal import read
from gymserve.protocol import errors
from tests import ROOT
from tests.grader.journals import CATALOGUE

EXAMPLES = {
    name: definition.load(ROOT / "examples" / "challenges" / f"{name}.toml") for name in ("cartpole", "lunar-lander")
}
PENDULUM = definition.read(
    """name = "pendulum"
environment = "Pendulum-v1"
[scoring]
cut = "worst"
worst = -1700
"""
)
CHALLENGES = {**EXAMPLES, "pendulum": PENDULUM}
COUNT = itertools.count()


class Opponent:
    """An agent that plays a graded instance in this process, call by call."""

    def __init__(self, challenge: Challenge, folder: Path) -> None:
        self.challenge = challenge
        token = f"s0-{next(COUNT)}"
        plan = seeds.plan(challenge, challenge.phases[0].name, b"key")
        recipe = running.recipe(challenge, plan, CATALOGUE)
        self.folder = folder / token
        self.instance = revival.begin(token, self.folder, recipe, CATALOGUE, limit=1 << 30, pulse=Pulse().page)
        self.space = self.instance.recorded.env.action_space
        self.space.seed(1)

    def reset(self) -> bool:
        """Whether there was another trial."""
        return self.instance.reset(None, None, None).observation is not None

    def step(self, action: Any = None) -> bool:
        """Acts, at random if `action` is None, and returns whether the trial continues."""
        instance = self.instance
        packed = instance.recorded.actions.pack(self.space.sample() if action is None else action)
        instance.step(instance.recorded.actions.unpack(packed), packed, None)
        return instance.recorded.state == "running"

    def result(self) -> scoring.ScoringResult:
        self.instance.close("the run is over")
        return scoring.score_journal(read(self.folder / "journal"), self.challenge.scoring)


def honest(opponent: Opponent) -> None:
    while opponent.reset():
        while opponent.step():
            pass


def constant(opponent: Opponent) -> None:
    space = opponent.instance.recorded.env.action_space
    action = space.sample() * 0
    while opponent.reset():
        while opponent.step(action):
            pass


def resets_at_once(opponent: Opponent) -> None:
    while opponent.reset():
        pass


def resets_after_the_first_step(opponent: Opponent) -> None:
    while opponent.reset():
        opponent.step()


def keeps_good_trials_only(opponent: Opponent) -> None:
    """Resets as soon as a trial goes badly, hoping that it will not count."""
    while opponent.reset():
        for _ in range(1000):
            if not opponent.step() or opponent.instance.last_call.time_step.reward < -5:
                break


def leaves_after_one_trial(opponent: Opponent) -> None:
    opponent.reset()
    while opponent.step():
        pass


def never_plays(opponent: Opponent) -> None:
    pass


def sends_invalid_actions(opponent: Opponent) -> None:
    while opponent.reset():
        for action in (math.nan, [math.nan], [math.inf], [1e30], "x", None, 99, -1, [[0.0]], 2**70):
            with pytest.raises(errors.InvalidValue):
                opponent.instance.recorded.actions.from_json(action)
        while opponent.step():
            pass


CHEATS = [
    constant, resets_at_once, resets_after_the_first_step, keeps_good_trials_only, leaves_after_one_trial, never_plays,
    sends_invalid_actions,
]  # fmt: skip


CASES = [
    pytest.param(cheat, name, id=f"{cheat.__name__}-{name}")
    for cheat in CHEATS
    for name in CHALLENGES
    if (cheat, name) != (constant, "lunar-lander")  # falling with the engines off is legitimate play, not a cheat
]


@pytest.fixture(scope="module")
def honest_result(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], scoring.ScoringResult]:
    """The result of random actions in a challenge, which is computed once."""

    @functools.cache
    def result(name: str) -> scoring.ScoringResult:
        opponent = Opponent(CHALLENGES[name], tmp_path_factory.mktemp("honest"))
        honest(opponent)
        return opponent.result()

    return result


@pytest.mark.guarantee("an agent leaves before a bad score, resets to better seeds, steps after the end, closes twice")
@pytest.mark.parametrize(("cheat", "name"), CASES)
def test_no_cheat_beats_random_actions(
    tmp_path: Path, honest_result: Callable[[str], scoring.ScoringResult], name: str, cheat: Callable[[Opponent], None]
) -> None:
    opponent = Opponent(CHALLENGES[name], tmp_path)
    cheat(opponent)
    random, cheated = honest_result(name), opponent.result()
    assert random.score is not None and random.standard_error is not None
    assert len(cheated.trials) == CHALLENGES[name].phases[0].trials
    doubt = math.hypot(random.standard_error, cheated.standard_error or 0.0)
    assert cheated.score is not None and cheated.score <= random.score + 3 * doubt


@pytest.mark.guarantee("an agent leaves before a bad score, resets to better seeds, steps after the end, closes twice")
def test_steps_after_the_end_of_a_trial_do_not_score(tmp_path: Path) -> None:
    opponent = Opponent(EXAMPLES["cartpole"], tmp_path)
    played = 0
    while opponent.reset():
        played += 1
        while opponent.step():
            pass
        for _ in range(3):
            with pytest.raises(errors.Conflict):
                opponent.step()
    before = list(read(opponent.folder / "journal"))
    for _ in range(3):
        assert not opponent.reset()
        with pytest.raises(errors.Conflict):
            opponent.step()
    assert list(read(opponent.folder / "journal")) == before
    assert played == 20 and [trial.state for trial in opponent.result().trials] == ["played"] * 20
