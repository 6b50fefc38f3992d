"""Replays: answers are compared with the records, and random generators are restored."""

import math
from typing import Any

import gymnasium
import numpy as np
import pytest

from gymserve.journal import Playback, Reset, Step
from gymserve.journal.records import digest
from gymserve.journal.replay import END, OBSERVATION, REWARD, difference, get_generators, within
from gymserve.protocol.errors import NotReplayable
from gymserve.protocol.spaces import codec

RESET = Reset(None, 7, 0.0, 3, None, None)
STEP = Step(None, 7, 1, 1.0, False, True, None)
NAN_REWARD = STEP._replace(reward=math.nan)
BATCH = Step(None, 7, b"", np.array([1.0, math.nan]), np.array([False, True]), np.array([True, False]), None)


@pytest.mark.parametrize(
    ("record", "answer", "expected"),
    [
        (RESET, (7,), ""),
        (RESET, (8,), OBSERVATION),
        (RESET, (None,), ""),
        (STEP, (7, 1.0, False, True), ""),
        (STEP, (8, 1.0, False, True), OBSERVATION),
        (STEP, (None, 1.0, False, True), ""),
        (STEP, (7, 2.0, False, True), REWARD),
        (STEP, (7, math.nan, False, True), REWARD),
        (STEP, (7, 1.0, True, True), END),
        (STEP, (7, 1.0, False, False), END),
        (NAN_REWARD, (7, math.nan, False, True), ""),
        (NAN_REWARD, (7, 1.0, False, True), REWARD),
        (BATCH, (7, [1.0, math.nan], [False, True], [True, False]), ""),
        (BATCH, (8, [1.0, math.nan], [False, True], [True, False]), OBSERVATION),
        (BATCH, (7, [1.0, 1.0], [False, True], [True, False]), REWARD),
        (BATCH, (7, [2.0, math.nan], [False, True], [True, False]), REWARD),
        (BATCH, (7, [1.0, math.nan], [True, True], [True, False]), END),
        (BATCH, (7, [1.0, math.nan], [False, True], [True, True]), END),
    ],
)
def test_each_part_of_an_answer_is_compared(record: Any, answer: tuple[Any, ...], expected: str) -> None:
    assert difference(record, *answer) == expected


def test_a_replay_ends_after_its_time_limit() -> None:
    now = [100.0]
    alive = within(30.0, lambda: now[0])
    now[0] = 130.0
    alive()
    now[0] = 130.1
    with pytest.raises(NotReplayable, match="longer than 30 s"):
        alive()


class Dice(gymnasium.Env[int, int]):
    """Rolls a die at each step, with its own random generator."""

    observation_space = gymnasium.spaces.Discrete(10**9)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        return int(self.np_random.integers(10**9)), {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        return int(self.np_random.integers(10**9)), 1.0, False, False, {}


def play(env: gymnasium.Env[int, int], seed: int | None) -> list[Reset | Step]:
    """Plays an episode of one step, and returns its records."""
    observations, generators = codec(env.observation_space), get_generators(env)
    observation, _ = env.reset(seed=seed)
    first = Reset(None, digest(observations.pack(observation)), 0.0, seed, None, generators)
    observation, reward, terminated, truncated, _ = env.step(1)
    packed = codec(env.action_space).pack(1)
    return [first, Step(None, digest(observations.pack(observation)), packed, reward, terminated, truncated, None)]


def test_a_reset_without_a_seed_restores_the_recorded_generators() -> None:
    env = Dice()
    assert get_generators(env) is None  # there are none before the first reset
    seeded, unseeded = play(env, 3), play(env, None)

    def replay(records: list[Reset | Step], *, restore: bool = True) -> None:
        fresh = Dice()
        Playback(fresh, codec(fresh.observation_space), codec(fresh.action_space)).run(records, restore=restore)

    replay(seeded)
    replay(unseeded)
    replay([*seeded, *unseeded], restore=False)  # the first episode leaves the generator in the right state
    with pytest.raises(NotReplayable, match="call 0 of 2"):
        replay(unseeded, restore=False)


@pytest.mark.parametrize("wrong", [{"reward": 2.0}, {"terminated": True}, {"truncated": True}, {"digest": 1}])
def test_a_replay_that_differs_names_the_call(wrong: dict[str, Any]) -> None:
    env = Dice()
    first, step = play(env, 3)
    with pytest.raises(NotReplayable, match="call 1 of 2"):
        Playback(env, codec(env.observation_space), codec(env.action_space)).run(
            [first, step._replace(**wrong)], restore=True
        )


def test_generators_other_than_numpys_are_not_recorded() -> None:
    env: Any = Dice()
    env.reset(seed=1)
    env._np_random = object()
    assert get_generators(env) is None
