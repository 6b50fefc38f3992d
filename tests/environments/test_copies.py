"""Copies of an environment return what Gymnasium's `SyncVectorEnv` returns."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from gymserve.environments.copies import Copies
from tests.client.trajectories import actions_for, same


@pytest.mark.parametrize("mode", AutoresetMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("env_id", ["CartPole-v1", "Blackjack-v1", "FrozenLake-v1", "MountainCar-v0", "Taxi-v4"])
def test_copies_return_the_same_as_gymnasiums(env_id: str, mode: AutoresetMode) -> None:
    both = [
        kind([lambda: gymnasium.make(env_id, max_episode_steps=12)] * 3, autoreset_mode=mode)
        for kind in (Copies, SyncVectorEnv)
    ]
    assert same(*(env.reset(seed=5) for env in both))
    for actions in actions_for(both[0], 60):
        one, other = (env.step(actions) for env in both)
        assert same(one, other)
        ended = one[2] | one[3]
        if mode is AutoresetMode.DISABLED and ended.any():
            assert same(*(env.reset(options={"reset_mask": ended}) for env in both))
    for env in both:
        env.close()


def test_what_copies_return_is_kept_and_may_be_changed() -> None:
    envs = Copies([lambda: gymnasium.make("CartPole-v1", max_episode_steps=2)] * 2)
    envs.reset(seed=0)
    first = envs.step(np.array([0, 1]))
    kept = first[0].copy()
    second = envs.step(np.array([0, 1]))
    assert np.array_equal(first[0], kept) and not first[3].any() and second[3].all()
    for each in second[:4]:
        each[...] = 0
    observations, rewards, _, truncations, _ = envs.step(np.array([0, 1]))
    assert observations.any() and not rewards.any() and not truncations.any()  # they were reset
    envs.close()


class Ragged(gymnasium.Env[np.ndarray, int]):
    """Returns observations of alternating shapes, which have the space's shape only on average."""

    action_space = gymnasium.spaces.Discrete(2)
    observation_space = gymnasium.spaces.Box(-1, 1, (4,))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return np.zeros(4, np.float32), {}

    def step(self, action: int) -> Any:
        return np.zeros(3 + 2 * action, np.float32), 0.0, False, False, {}


def test_observations_of_other_shapes_are_refused() -> None:
    envs = Copies([Ragged] * 2)
    envs.reset()
    with pytest.raises(ValueError, match="same shape"):
        envs.step(np.array([0, 1]))
