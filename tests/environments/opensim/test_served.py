"""Musculoskeletal environments behind the server: the same numbers, pictures, and going on after a crash."""

import os
import signal
from collections.abc import Callable

import numpy as np
import pytest

from gymserve.environments.opensim.learn_to_move import LearnToMove
from tests.servers import Server

ACTION = [round(0.01 * each, 2) for each in range(22)]


def test_a_served_episode_is_a_local_one(server: Server) -> None:
    local = LearnToMove()
    path = f"/v1/envs/{server.create('L2M2019Env')}"
    assert server.post(f"{path}/reset/", {"seed": 3}).json["observation"] == local.reset(seed=3)[0].tolist()
    for _ in range(5):
        answer = server.post(f"{path}/step/", {"action": ACTION}).json
        observation, reward, terminated, truncated, _ = local.step(np.array(ACTION, np.float32))
        assert (answer["observation"], answer["reward"]) == (observation.tolist(), reward)
        assert (answer["terminated"], answer["truncated"]) == (terminated, truncated)


@pytest.mark.parametrize("torn", [False, True])
def test_a_lost_episode_goes_on_where_it_was(start: Callable[..., Server], torn: bool) -> None:
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


def test_a_dict_and_a_picture_come_through(server: Server) -> None:
    kwargs = {"observation": "dict", "difficulty": 1}
    path = f"/v1/envs/{server.create('Run', render_mode='rgb_array', kwargs=kwargs)}"
    observation = server.post(f"{path}/reset/", {"seed": 3}).json["observation"]
    assert 1 <= observation["obstacle"]["x"] <= 5
    assert server.get(f"{path}/render/").body.startswith(b"\x89PNG")
