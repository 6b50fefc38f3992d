"""Wrappers that the server applies work as the same wrappers do on the agent's side."""

import os
import signal
from collections.abc import Callable
from typing import Any

import ale_py  # noqa: F401  it registers the local twins
import gymnasium
import numpy as np
import pytest
from gymnasium import wrappers

from gymserve import client
from gymserve.environments.wrappers import ALLOWED
from tests.client.environments import mapping, telling  # noqa: F401  they register the local twins
from tests.client.trajectories import actions_for, play, same
from tests.support.servers import Server

# name → (an environment, the arguments as JSON, those that are different in Python)
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "AtariPreprocessing": ("ALE/Breakout-v5", {"noop_max": 5, "screen_size": [64, 48]}, {"screen_size": (64, 48)}),
    "ClipAction": ("Pendulum-v1", {}, {}),
    "ClipReward": ("Pendulum-v1", {"min_reward": -1, "max_reward": 1}, {}),
    "DelayObservation": ("CartPole-v1", {"delay": 2}, {}),
    "DiscretizeAction": ("Pendulum-v1", {"bins": 5}, {}),
    "DiscretizeObservation": ("Pendulum-v1", {"bins": [2, 3, 4]}, {"bins": (2, 3, 4)}),
    "DtypeObservation": ("CartPole-v1", {"dtype": "float64"}, {"dtype": np.float64}),
    "FilterObservation": ("Reaching-v0", {"filter_keys": ["observation"]}, {}),
    "FlattenObservation": ("Reaching-v0", {}, {}),
    "FrameStackObservation": ("CartPole-v1", {"stack_size": 3, "padding_type": "zero"}, {}),
    "GrayscaleObservation": ("Large-v0", {"keep_dim": True}, {}),
    "MaxAndSkipObservation": ("Large-v0", {"skip": 2}, {}),
    "RepeatAction": ("CartPole-v1", {"num_repeats": 2}, {}),
    "RescaleAction": ("Pendulum-v1", {"min_action": [-1], "max_action": 3}, {"min_action": np.array([-1], np.float32)}),
    "RescaleObservation": ("Pendulum-v1", {"min_obs": 0, "max_obs": 1}, {}),
    "ReshapeObservation": ("CartPole-v1", {"shape": [2, 2]}, {"shape": (2, 2)}),
    "ResizeObservation": ("Large-v0", {"shape": [20, 30]}, {"shape": (20, 30)}),
    "StickyAction": ("CartPole-v1", {"repeat_action_probability": 0.4}, {}),
    "TimeAwareObservation": ("CartPole-v1", {"normalize_time": True}, {}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_each_wrapper_works_on_the_server_as_here(name: str) -> None:
    env_id, arguments, in_python = CASES[name]
    kwargs = {"frameskip": 1} if name == "AtariPreprocessing" else {}
    local = getattr(wrappers, name)(gymnasium.make(env_id, **kwargs), **{**arguments, **in_python})
    remote = client.make(env_id, wrappers=[{"name": name, "kwargs": arguments}], **kwargs)
    assert remote.observation_space == local.observation_space and remote.action_space == local.action_space
    actions = actions_for(local, 25)
    assert all(same(one, other) for one, other in zip(play(local, actions), play(remote, actions), strict=True))
    remote.close()


def test_every_allowed_wrapper_has_a_case() -> None:
    assert list(CASES) == list(ALLOWED)


def test_they_nest_and_wrap_each_copy_and_are_described() -> None:
    stack: list[dict[str, Any]] = [
        {"name": "RescaleAction", "kwargs": {"min_action": -1, "max_action": 1}},
        {"name": "FlattenObservation"},
        {"name": "FrameStackObservation", "kwargs": {"stack_size": 2}},
    ]
    remote = client.make_vec("Pendulum-v1", num_envs=2, wrappers=stack)
    twins = gymnasium.make_vec(
        "Pendulum-v1", 2, wrappers=[
            lambda env: wrappers.RescaleAction(env, -1, 1), wrappers.FlattenObservation,
            lambda env: wrappers.FrameStackObservation(env, 2),
        ],
    )  # fmt: skip
    assert remote.observation_space == twins.observation_space
    actions = actions_for(twins, 10)
    assert same(play(remote, actions), play(twins, actions))
    assert remote.connection.instance.description["wrappers"] == [{"kwargs": {}, **each} for each in stack]
    assert remote.spec is not None and remote.spec.kwargs["wrappers"] == stack
    remote.close()


@pytest.mark.long
def test_an_instance_with_wrappers_is_revived_with_them(start: Callable[..., Server]) -> None:
    server = start()
    env = client.make(
        "CartPole-v1", server=server.url, wrappers=[{"name": "FrameStackObservation", "kwargs": {"stack_size": 3}}]
    )
    local = wrappers.FrameStackObservation(gymnasium.make("CartPole-v1"), 3)
    assert same(env.reset(seed=3), local.reset(seed=3)) and same(env.step(1), local.step(1))
    journal = server.data / "instances" / env.instance_id / "journal"
    assert b"FrameStackObservation" in journal.read_bytes()
    for pid in server.hosts():
        os.kill(pid, signal.SIGKILL)
    assert same(env.step(0), local.step(0))
    env.close()


@pytest.mark.parametrize(
    ("invalid", "text"),
    [
        ("FlattenObservation", "must be a list"),
        ([{"kwargs": {}}], r"parameter 'wrappers\[0\].name' was not provided"),
        (
            [{"name": "FlattenObservation", "args": []}],
            r"wrappers\[0\].args is unknown: .* may have name, kwargs",
        ),
        (
            [{"name": "RecordVideo", "kwargs": {"video_folder": "/tmp"}}],
            "name must be one of AtariPreprocessing.*, not 'RecordVideo'",
        ),
        ([{"name": "__class__"}], "not '__class__'"),
        (
            [{"name": "RescaleAction", "kwargs": {"env": 1}}],
            "'env' of RescaleAction is not among min_action, max_action",
        ),
        ([{"name": "GrayscaleObservation"}], "GrayscaleObservation cannot be applied"),
        (
            [{"name": "FrameStackObservation", "kwargs": {"stack_size": "x"}}],
            "FrameStackObservation cannot be applied",
        ),
        ([{"name": "FlattenObservation"}] * 9, "wrappers must be a list of 0 to 8 elements"),
    ],
)
def test_an_invalid_wrapper_is_refused_by_name(invalid: Any, text: str) -> None:
    with pytest.raises(client.InvalidRequest, match=text):
        client.make("CartPole-v1", wrappers=invalid)
