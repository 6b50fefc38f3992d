"""Scripts of openai/gym-http-api's client run with one import changed."""

import inspect

import numpy as np
import pytest

from gymserve import client as gym_http_client
from tests.support.proxies import Prefixed
from tests.support.servers import Server


@pytest.fixture
def remote(server: Server) -> gym_http_client.Client:
    return gym_http_client.Client(server.url)


def test_an_episode_as_the_old_example_agent_plays_it(remote: gym_http_client.Client, monkeypatch) -> None:
    instance_id = remote.env_create("CartPole-v0")
    assert remote.env_list_all()[instance_id] == "CartPole-v0"
    assert remote.env_action_space_info(instance_id)["n"] == 2
    assert remote.env_observation_space_info(instance_id)["shape"] == [4]
    assert remote.env_action_space_contains(instance_id, 1) and not remote.env_action_space_contains(instance_id, 5)
    assert remote.env_observation_space_contains(instance_id, {"name": "Box", "shape": (4,)})
    remote.env_monitor_start(instance_id, "tmp", force=True)
    assert len(remote.env_reset(instance_id)) == 4
    done = False
    while not done:
        action = remote.env_action_space_sample(instance_id)
        observation, reward, done, info = remote.env_step(instance_id, action, render=True)
        assert len(observation) == 4 and reward == 1.0 and isinstance(info, dict)
    remote.env_monitor_close(instance_id)
    monkeypatch.setenv("OPENAI_GYM_API_KEY", "a key")
    remote.upload("tmp")
    remote.env_close(instance_id)
    assert instance_id not in remote.env_list_all()


@pytest.mark.parametrize("action", [1, np.int64(1), np.array(1), np.array([1]), True, np.bool_(True)])
def test_actions_may_be_numpy(remote: gym_http_client.Client, action: object) -> None:
    instance_id = remote.env_create("CartPole-v1")
    remote.env_reset(instance_id)
    remote.env_step(instance_id, action)
    remote.env_close(instance_id)


def test_errors_have_the_servers_message(remote: gym_http_client.Client, monkeypatch) -> None:
    with pytest.raises(gym_http_client.ServerError) as caught:
        remote.env_reset("1234")
    assert caught.value.status_code == 400 and caught.value.message == "Instance_id 1234 unknown"
    with pytest.raises(gym_http_client.ServerError, match="malformed environment ID 'bad id'"):
        remote.env_create("bad id")
    monkeypatch.delenv("OPENAI_GYM_API_KEY", raising=False)
    with pytest.raises(gym_http_client.ServerError, match="'api_key' was not provided"):
        remote.upload("tmp")
    with pytest.raises(gym_http_client.NotReachable, match="start one with"):
        gym_http_client.Client("http://127.0.0.1:1").env_list_all()


def test_a_path_before_the_servers_own_is_kept(server: Server) -> None:
    with Prefixed(server.port, "/gym") as proxy:
        remote = gym_http_client.Client(f"{proxy.url}/gym/")
        instance_id = remote.env_create("Pendulum-v1")
        assert len(remote.env_reset(instance_id)) == 3
        assert remote.env_action_space_contains(instance_id, [0.5]) and instance_id in remote.env_list_all()
        remote.env_close(instance_id)
        env = gym_http_client.make("CartPole-v1", server=f"{proxy.url}/gym")
        env.reset()
        env.close()


def test_shutdown_ends_the_server(start) -> None:
    own = start()
    gym_http_client.Client(own.url).shutdown_server()
    assert own.process.wait(30) == 0


def test_signatures_are_the_old_ones() -> None:
    old = {
        "env_create": "env_id",
        "env_list_all": "",
        "env_reset": "instance_id",
        "env_step": "instance_id action render=False",
        "env_action_space_info": "instance_id",
        "env_action_space_sample": "instance_id",
        "env_action_space_contains": "instance_id x",
        "env_observation_space_info": "instance_id",
        "env_observation_space_contains": "instance_id params",
        "env_monitor_start": "instance_id directory force=False resume=False video_callable=False",
        "env_monitor_close": "instance_id",
        "env_close": "instance_id",
        "upload": "training_dir algorithm_id=None api_key=None",
        "shutdown_server": "",
    }
    for name, parameters in old.items():
        signature = list(inspect.signature(getattr(gym_http_client.Client, name)).parameters.values())[1:]
        names = [p.name if p.default is p.empty else f"{p.name}={p.default}" for p in signature]
        assert names == parameters.split()
