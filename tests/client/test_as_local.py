"""Programs can do with a remote environment what they do with a local one."""

from typing import Any

import ale_py  # noqa: F401  it registers the local twins
import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import AtariPreprocessing
from stable_baselines3 import SAC, HerReplayBuffer
from stable_baselines3.common import env_checker
from stable_baselines3.common.atari_wrappers import AtariWrapper
from stable_baselines3.common.env_util import make_atari_env

from gymserve import client
from gymserve.environments import catalogue
from tests.client.environments import mapping, telling  # noqa: F401  they register the local twins
from tests.client.trajectories import actions_for, play, same
from tests.support.proxies import NoUpgrades
from tests.support.servers import Server

catalogue.register()
CHECKED = ["CartPole-v1", "FrozenLake-v1", "runt/OffloadingDiscrete-v0"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("env_id", CHECKED)
def test_gymnasiums_and_stable_baselines_checkers_pass(env_id: str) -> None:
    modes = client.make(env_id).metadata["render_modes"]
    env = client.make(env_id, render_mode="rgb_array" if modes else None)
    check_env(env)
    env_checker.check_env(env, skip_render_check=False)
    env.close()


def test_render_modes_are_those_of_the_environment() -> None:
    for env_id in (*CHECKED, "Telling-v0"):
        local, remote = gymnasium.make(env_id), client.make(env_id)
        expected = [mode for mode in local.metadata.get("render_modes", []) if mode != "human"]
        assert remote.metadata["render_modes"] == expected
        assert remote.metadata.get("render_fps") == local.metadata.get("render_fps")
        remote.close()


@pytest.mark.parametrize("mode", ["ansi", "depth_array", "rgbd_tuple"])
def test_each_render_mode_returns_what_it_does_locally(mode: str) -> None:
    local, remote = gymnasium.make("Telling-v0", render_mode=mode), client.make("Telling-v0", render_mode=mode)
    for env in (local, remote):
        env.reset(seed=1)
        env.step(1)
    assert type(remote.render()) is type(local.render()) and same(remote.render(), local.render())
    remote.close()
    envs = client.make_vec("Telling-v0", num_envs=2, render_mode=mode)
    twins = gymnasium.make_vec("Telling-v0", num_envs=2, render_mode=mode)
    for each in (envs, twins):
        each.reset(seed=1)
    assert type(envs.render()) is type(twins.render()) and same(envs.render(), twins.render())
    envs.close()


def test_a_text_is_rendered_over_http_as_well(server: Server) -> None:
    local = gymnasium.make("FrozenLake-v1", render_mode="ansi")
    local.reset(seed=1)
    with NoUpgrades(server.port) as proxy:
        env = client.make("FrozenLake-v1", render_mode="ansi", server=proxy.url)
        env.reset(seed=1)
        assert env.render() == local.render()
        answer = server.get(f"/v1/envs/{env.instance_id}/render")
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8" and answer.body.decode() == local.render()
        env.close()


def test_tuples_and_observations_in_info_keep_their_type() -> None:
    local, remote = gymnasium.make("Telling-v0"), client.make("Telling-v0")
    for one, other in zip(play(local, [1] * 4), play(remote, [1] * 4), strict=True):
        assert same(one, other) and kinds(one) == kinds(other)
    remote.close()


def kinds(value: Any) -> Any:
    """The types inside a result."""
    if isinstance(value, dict):
        return {key: kinds(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.dtype == object):
        return type(value), [kinds(each) for each in value]
    return type(value) if isinstance(value, np.ndarray) else None


@pytest.mark.parametrize("env_id", ["Telling-v0", "Taxi-v4", "Mapping-v0"])
def test_the_last_observation_of_an_episode_keeps_its_type(server: Server, env_id: str) -> None:
    mode = gymnasium.vector.AutoresetMode.SAME_STEP
    twins = gymnasium.make_vec(env_id, 2, vector_kwargs={"autoreset_mode": mode}, max_episode_steps=3)
    actions = actions_for(twins, 4)
    expected = play(twins, actions)
    remote = client.make_vec(env_id, num_envs=2, autoreset_mode=mode, max_episode_steps=3)
    assert remote.autoreset_mode is mode and twins.autoreset_mode is mode
    for one, other in zip(expected, play(remote, actions), strict=True):
        assert same(one, other) and kinds(one) == kinds(other)
    remote.close()
    with NoUpgrades(server.port) as proxy:
        remote = client.make_vec(env_id, 2, autoreset_mode=mode, max_episode_steps=3, server=proxy.url)
        infos = [answer[-1] for answer in play(remote, actions)]
        final = [
            (a["final_obs"], b["final_obs"]) for (*_, a), b in zip(expected, infos, strict=True) if "final_obs" in a
        ]
        assert final and all(same(one, other) for one, other in final)
        remote.close()


def test_an_unknown_argument_is_a_type_error() -> None:
    for make in (
        lambda: gymnasium.make("remote/CartPole-v1", frameskip=4),
        lambda: client.make("CartPole-v1", frameskip=4),
    ):
        with pytest.raises(TypeError, match="unexpected keyword argument 'frameskip'") as caught:
            make()
        assert isinstance(caught.value, client.UnknownArgument)


def test_each_copy_of_a_vector_is_rendered() -> None:
    envs = client.make_vec("CartPole-v1", num_envs=3, render_mode="rgb_array")
    twins = gymnasium.make_vec("CartPole-v1", num_envs=3, render_mode="rgb_array")
    for each in (envs, twins):
        each.reset(seed=1)
    assert isinstance(envs.render(), tuple) and same(envs.render(), twins.render())
    envs.close()


def test_a_large_box_is_described_in_few_bytes(server: Server) -> None:
    env = client.make("Wide-v0")
    assert env.observation_space == gymnasium.make("Wide-v0").observation_space
    for path in ("", "?bounds=short", "observation_space/"):
        assert len(server.get(f"/v1/envs/{env.instance_id}/{path}").body) < 2000
    env.close()


def test_a_closed_environment_is_reset_into_another_instance() -> None:
    env = client.make("CartPole-v1")
    before = env.instance_id
    env.close()
    with pytest.raises(client.ServerError, match="closed"):
        env.step(0)
    env.reset(seed=0)
    assert env.instance_id != before and env.step(0)[1] == 1.0
    env.close()


def test_only_what_an_environment_offers_can_be_called() -> None:
    env = client.make("Reaching-v0")
    assert hasattr(env, "compute_reward") and not hasattr(env, "ale") and not hasattr(env, "get_action_meanings")
    goals = np.array([[0.0, 0.0], [1.0, 1.0]])
    assert same(env.compute_reward(goals, goals[::-1].copy(), [{}, {}]), np.array([-1.0, -1.0]))
    with pytest.raises(client.EnvironmentFailed, match="could not be broadcast"):
        env.compute_reward(np.zeros(2), np.zeros(3), {})
    for name in ("compute_rewards", "close", "__class__", "ale.lives", None):
        with pytest.raises(client.InvalidRequest, match="which offers np_random, compute_reward"):
            env.connection.call(name)
    env.reset(seed=0)
    env.close()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_hindsight_replay_learns_the_same(server: Server) -> None:
    """Stable-Baselines3 asks for the rewards of goals that were not the episode's."""

    def trained(env: Any) -> Any:
        options = {"n_sampled_goal": 2}
        model = SAC(
            "MultiInputPolicy", env, seed=1, learning_starts=40, batch_size=16, replay_buffer_class=HerReplayBuffer,
            replay_buffer_kwargs=options, policy_kwargs={"net_arch": [8]}, device="cpu",
        )  # fmt: skip
        return model.learn(60).get_parameters()["policy"]["actor.mu.weight"]

    with_remote = trained(client.make("Reaching-v0"))
    assert np.array_equal(with_remote.numpy(), trained(gymnasium.make("Reaching-v0")).numpy())


@pytest.mark.parametrize(
    ("env_id", "wrap"),
    [
        ("ALE/Breakout-v5", lambda env: AtariPreprocessing(env, noop_max=5)),
        pytest.param(
            "ALE/Pong-v5",
            lambda env: AtariPreprocessing(env, 3, grayscale_obs=False, terminal_on_life_loss=True),
            marks=pytest.mark.long,
        ),
        pytest.param("ALE/Breakout-v5", AtariWrapper, marks=pytest.mark.long),
        pytest.param("ALE/Qbert-v5", lambda env: AtariWrapper(env, 10), marks=pytest.mark.long),
    ],
)
def test_atari_is_preprocessed_as_locally(env_id: str, wrap: Any) -> None:
    local = wrap(gymnasium.make(env_id, frameskip=1))
    remote = wrap(client.make(env_id, frameskip=1))
    assert remote.observation_space == local.observation_space
    assert remote.unwrapped.get_action_meanings() == local.unwrapped.get_action_meanings()
    actions = actions_for(local, 40)
    for one, other in zip(play(local, actions), play(remote, actions), strict=True):
        assert same(one, other)
    remote.close()


@pytest.mark.long
def test_stable_baselines_makes_ataris_as_locally() -> None:
    local = make_atari_env("BreakoutNoFrameskip-v4", n_envs=2, seed=5)
    remote = make_atari_env("remote/BreakoutNoFrameskip-v4", n_envs=2, seed=5)
    assert np.array_equal(local.reset(), remote.reset())
    for action in range(60):
        one, other = (env.step(np.array([action % 4, 1])) for env in (local, remote))
        assert all(np.array_equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))
    remote.close()
