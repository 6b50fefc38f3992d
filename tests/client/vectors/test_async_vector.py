"""A vector of instances is a `gymnasium.vector.VectorEnv` like Gymnasium's own."""

import copy
import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from gymserve import client
from tests.client.environments import telling  # noqa: F401  it registers the local twins
from tests.client.trajectories import actions_for, play, same
from tests.client.vectors.vectors import MODES, local, remote
from tests.support.servers import Server


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("env_id", ["CartPole-v1", "FrozenLake-v1", "Blackjack-v1", "Taxi-v4", "Reaching-v0"])
def test_trajectories_equal_local_ones(env_id: str, mode: AutoresetMode) -> None:
    envs, twin = remote(env_id, autoreset_mode=mode), local(env_id, 3, mode)
    assert envs.observation_space == twin.observation_space and envs.action_space == twin.action_space
    assert envs.single_observation_space == twin.single_observation_space
    assert envs.single_action_space == twin.single_action_space
    assert envs.metadata["autoreset_mode"] is mode and envs.num_envs == 3
    actions = actions_for(twin, 40)
    assert same(play(envs, actions), play(twin, actions))
    envs.close()
    twin.close()


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_trajectories_equal_those_of_one_instance(mode: AutoresetMode) -> None:
    envs, one = remote("FrozenLake-v1", autoreset_mode=mode), client.make_vec("FrozenLake-v1", 3, autoreset_mode=mode)
    actions = actions_for(one, 40)
    assert same(play(envs, actions), play(one, actions))
    for env in (envs, one):
        env.close()


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_trajectories_equal_those_of_local_processes(mode: AutoresetMode) -> None:
    envs = remote("Taxi-v4", autoreset_mode=mode)
    twin = AsyncVectorEnv([lambda: gymnasium.make("Taxi-v4")] * 3, context="spawn", autoreset_mode=mode)
    actions = actions_for(twin, 250)
    assert same(play(envs, actions), play(twin, actions))
    envs.close()
    twin.close()


def test_disabled_autoreset_takes_a_mask() -> None:
    mode = AutoresetMode.DISABLED
    envs, twin = remote("FrozenLake-v1", autoreset_mode=mode), local("FrozenLake-v1", 3, mode)
    with pytest.raises(client.Conflict, match="reset all copies once"):
        envs.reset(options={"reset_mask": np.array([True, False, False])})
    assert same(envs.reset(seed=1), twin.reset(seed=1))
    for action in actions_for(twin, 60):
        step = twin.step(action)
        assert same(envs.step(action), step)
        if (over := step[2] | step[3]).any():
            with pytest.raises(client.Conflict, match="reset that copy"):
                envs.step(action)
            assert same(envs.reset(options={"reset_mask": over}), twin.reset(options={"reset_mask": over}))
    envs.close()


def test_seeds_and_options_are_those_of_each_copy() -> None:
    envs = remote("Mapping-v0")
    first, infos = envs.reset(seed=[5, None, 7], options={"level": 3})
    again, _ = envs.reset(seed=5)
    assert same(first["picture"][0], again["picture"][0]) and same(first["picture"][2], again["picture"][2])
    assert infos["options"]["level"].tolist() == [3, 3, 3]
    for seed in ([1, 2], [1.5, 2, 3], "one"):
        with pytest.raises((client.InvalidRequest, TypeError)):
            envs.reset(seed=seed)
    for mask in ([True, False], np.zeros(3, bool), [2, 1, 1]):
        with pytest.raises(client.InvalidRequest, match="reset_mask"):
            envs.reset(options={"reset_mask": mask})
    envs.close()


def test_it_is_wrapped_rendered_copied_and_made_again_like_any_other(server: Server) -> None:
    envs = RecordEpisodeStatistics(remote("CartPole-v1", render_mode="rgb_array", autoreset_mode="SameStep"))
    envs.reset(seed=0)
    finished = sum("episode" in envs.step(np.ones(3, np.int64))[-1] for _ in range(30))
    assert finished
    pictures = envs.render()
    assert pictures is not None and [picture.shape for picture in pictures] == [(400, 600, 3)] * 3
    made = envs.env
    others = [copy.deepcopy(made), pickle.loads(pickle.dumps(made)), gymnasium.make_vec(made.spec)]
    for other in others:
        assert isinstance(other, client.AsyncRemoteVectorEnv) and other.num_envs == 3
        assert other.autoreset_mode is AutoresetMode.SAME_STEP and other.render_mode == "rgb_array"
        assert not set(other.instance_ids) & set(made.instance_ids)
        assert same(other.reset(seed=0), made.reset(seed=0))
        other.close()
    assert set(made.instance_ids) <= set(server.get("/v1/envs/").json["all_envs"])
    envs.close()
    assert not set(made.instance_ids) & set(server.get("/v1/envs/").json["all_envs"])
