"""Served musculoskeletal environments give the same numbers and pictures as local ones, and continue after a crash."""

import os
import signal
from collections.abc import Callable

import numpy as np
import pytest

from gymserve.environments.opensim.arm import Arm2D
from gymserve.environments.opensim.learn_to_move import LearnToMove
from tests.support.servers import Server

ACTION = [round(0.01 * each, 2) for each in range(22)]


def test_a_served_episode_equals_a_local_one(server: Server) -> None:
    local = LearnToMove()
    path = f"/v1/envs/{server.create('L2M2019Env')}"
    assert server.post(f"{path}/reset/", {"seed": 3}).json["observation"] == local.reset(seed=3)[0].tolist()
    for _ in range(5):
        answer = server.post(f"{path}/step/", {"action": ACTION}).json
        observation, reward, terminated, truncated, _ = local.step(np.array(ACTION, np.float32))
        assert (answer["observation"], answer["reward"]) == (observation.tolist(), reward)
        assert (answer["terminated"], answer["truncated"]) == (terminated, truncated)


@pytest.mark.parametrize("num_envs", [1, 2])
def test_actions_outside_the_bounds_are_clipped_like_local_ones(server: Server, num_envs: int) -> None:
    path = f"/v1/envs/{server.create('Arm2DEnv', num_envs=num_envs)}"
    server.post(f"{path}/reset/", {"seed": 3})
    local = Arm2D()
    local.reset(seed=3)
    action = [1.0001, -0.2, 1e6, 0.5, 0.0, 1.0]
    answer = server.post(f"{path}/step/", {"action": action if num_envs == 1 else [action] * num_envs}).json
    observation = local.step(np.array(action, np.float32))[0].tolist()
    assert (answer["observation"] if num_envs == 1 else answer["observation"][0]) == observation
    not_finite = server.post(f"{path}/step/", {"action": ["NaN"] * 6 if num_envs == 1 else [["NaN"] * 6] * num_envs})
    assert not_finite.status == 400


@pytest.mark.parametrize("torn", [False, pytest.param(True, marks=pytest.mark.long)])
def test_an_episode_continues_after_its_host_was_killed(start: Callable[..., Server], torn: bool) -> None:
    server = start()
    local = LearnToMove()
    local.reset(seed=3)
    token = server.create("L2M2019Env")
    server.post(f"/v1/envs/{token}/reset/", {"seed": 3})

    def step() -> None:
        answer = server.post(f"/v1/envs/{token}/step/", {"action": ACTION}).json
        assert answer["observation"] == local.step(np.array(ACTION, np.float32))[0].tolist()

    snapshots = server.data / "instances" / token
    while not list(snapshots.glob("snapshot.?")):  # at most once in half a second of stepping
        step()
    step()
    for path in snapshots.glob("snapshot.?"):
        if torn:
            path.write_text("{")
    for pid in server.hosts():
        os.kill(pid, signal.SIGKILL)
    for _ in range(3):
        step()


def test_a_dict_and_a_picture_are_served(server: Server) -> None:
    kwargs = {"observation": "dict", "difficulty": 1}
    path = f"/v1/envs/{server.create('Run', render_mode='rgb_array', kwargs=kwargs)}"
    observation = server.post(f"{path}/reset/", {"seed": 3}).json["observation"]
    assert 1 <= observation["obstacle"]["x"] <= 5
    assert server.get(f"{path}/render/").body.startswith(b"\x89PNG")
