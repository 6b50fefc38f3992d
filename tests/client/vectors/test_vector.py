"""A remote vector environment is a `gymnasium.vector.VectorEnv` like any other."""

from typing import Any

import ale_py  # noqa: F401  it registers the local twins
import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from gymserve import client
from tests.client.environments import mapping  # noqa: F401  it registers the local twins
from tests.client.trajectories import actions_for, play, same
from tests.support.proxies import NoUpgrades
from tests.support.servers import Server


def local(env_id: str, num_envs: int, mode: AutoresetMode) -> SyncVectorEnv:
    return SyncVectorEnv([lambda: gymnasium.make(env_id)] * num_envs, autoreset_mode=mode)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP], ids=lambda mode: mode.value)
@pytest.mark.parametrize("env_id", ["FrozenLake-v1", "Blackjack-v1", "Pendulum-v1", "Taxi-v4"])
def test_trajectories_equal_local_ones(env_id: str, mode: AutoresetMode) -> None:
    remote, twin = client.make_vec(env_id, num_envs=3, autoreset_mode=mode), local(env_id, 3, mode)
    assert remote.observation_space == twin.observation_space
    assert remote.action_space == twin.action_space
    assert remote.single_observation_space == twin.single_observation_space
    assert remote.metadata["autoreset_mode"] is mode
    actions = actions_for(twin, 50)
    assert same(play(remote, actions), play(twin, actions))
    remote.close()
    twin.close()


def test_the_vector_entry_point_is_used_and_equal() -> None:
    remote = client.make_vec("CartPole-v1", num_envs=16)
    twin = gymnasium.make_vec("CartPole-v1", num_envs=16)
    for one, other in zip(play(remote, (actions := actions_for(twin, 80))), play(twin, actions), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one[:-1], other[:-1], strict=True))
    remote.close()
    twin.close()


@pytest.mark.parametrize("env_id", ["ALE/Pong-v5", "CartPole-v1", "FrozenLake-v1"])
def test_one_copy_is_a_vector_of_it(env_id: str) -> None:
    remote, twin = client.make_vec(env_id), gymnasium.make_vec(env_id)
    assert remote.num_envs == 1 and remote.observation_space == twin.observation_space
    for one, other in zip(play(remote, (actions := actions_for(twin, 20))), play(twin, actions), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one[:-1], other[:-1], strict=True))
    remote.close()
    twin.close()


def test_seeds_may_be_a_list() -> None:
    remote = client.make_vec("Taxi-v4", num_envs=2)
    a, _ = remote.reset(seed=[5, 6])
    b, _ = remote.reset(seed=5)
    assert np.array_equal(a, b)
    remote.close()


def test_disabled_autoreset_takes_a_mask() -> None:
    remote = client.make_vec("FrozenLake-v1", num_envs=2, autoreset_mode="Disabled")
    twin = local("FrozenLake-v1", 2, AutoresetMode.DISABLED)
    options: dict[str, Any] = {"reset_mask": np.array([True, False])}
    for env in (remote, twin):
        env.reset(seed=1)
        env.step(np.array([1, 1]))
    assert same(remote.reset(options=dict(options)), twin.reset(options=dict(options)))
    remote.close()


@pytest.mark.parametrize("num_envs", [1, 4])
def test_statistics_wrap_it(num_envs: int) -> None:
    envs = RecordEpisodeStatistics(client.make_vec("CartPole-v1", num_envs=num_envs))
    envs.reset(seed=0)
    finished = 0
    for _ in range(60):
        *_, infos = envs.step(np.ones(num_envs, np.int64))
        finished += "episode" in infos
    assert finished >= 4
    envs.close()
    envs.close()


def test_over_http_it_returns_the_same(server: Server) -> None:
    with NoUpgrades(server.port) as proxy:
        remote = client.make_vec("Taxi-v4", num_envs=3, server=proxy.url)
        twin = local("Taxi-v4", 3, AutoresetMode.NEXT_STEP)
        actions = actions_for(twin, 10)
        for one, other in zip(play(remote, actions), play(twin, actions), strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(one[:-1], other[:-1], strict=True))
            assert one[-1].keys() == other[-1].keys()
        remote.close()
        assert proxy.refused == 1
