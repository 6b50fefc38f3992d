"""A remote environment is a `gymnasium.Env` like any other."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from gymserve import client
from gymserve.client.transport.http import Http
from tests import ROOT
from tests.client.environments import mapping  # noqa: F401  it registers the local twins
from tests.client.trajectories import actions_for, play, same
from tests.support.servers import Server

IDS = ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1", "Blackjack-v1", "Taxi-v4", "Mapping-v0", "Large-v0"]


@pytest.mark.filterwarnings("ignore:.*Box (action|observation) space")
@pytest.mark.filterwarnings("ignore:.*symmetric and normalized")
@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "Blackjack-v1"])
def test_gymnasiums_checker_passes(env_id: str) -> None:
    env = client.make(env_id, render_mode="rgb_array")
    check_env(env)
    env.close()


@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}, {"compression": "lz4"}], ids=str)
@pytest.mark.parametrize("env_id", IDS)
def test_trajectories_equal_local_ones(env_id: str, options: dict[str, Any]) -> None:
    local, remote = gymnasium.make(env_id), client.make(env_id, **options)
    assert remote.observation_space == local.observation_space
    assert remote.action_space == local.action_space
    actions = actions_for(local, 60)
    assert same(play(remote, actions), play(local, actions))
    remote.close()


@pytest.mark.parametrize("is_old", [False, True], ids=["server", "older server"])
def test_an_instance_is_made_in_one_request(monkeypatch: pytest.MonkeyPatch, is_old: bool) -> None:
    calls = []
    call = Http.call

    def counted(self: Http, method: str, path: str, *arguments: Any, **options: Any) -> Any:
        calls.append(method)
        return call(self, method, path.partition("?describe")[0] if is_old else path, *arguments, **options)

    monkeypatch.setattr(Http, "call", counted)
    env = client.make("CartPole-v1")
    assert calls == (["POST", "GET"] if is_old else ["POST"])
    assert env.action_space == gymnasium.make("CartPole-v1").action_space
    env.close()


def test_observations_are_writable_and_ones_own() -> None:
    for env_id in ("CartPole-v1", "Large-v0", "Mapping-v0"):
        env = client.make(env_id)
        first, _ = env.reset(seed=1)
        second, *_ = env.step(env.action_space.sample())
        for one, other in [(first, second)] if env_id != "Mapping-v0" else [(first["picture"], second["picture"])]:
            kept = other.copy()
            one[...] = 0
            assert one.flags.writeable and one.flags.aligned and np.array_equal(other, kept)
        env.close()


def test_spec_makes_another_one_and_keeps_no_token(server: Server) -> None:
    env = client.make("CartPole-v1", token="a-secret", max_episode_steps=20)
    assert env.spec is not None and env.spec.id == "CartPole-v1" and env.spec.max_episode_steps == 20
    assert "a-secret" not in env.spec.to_json() + repr(env.connection.address) + str(env)
    another = env.spec.make()
    another.reset(seed=0)
    another.close()
    env.close()


def test_time_limit_is_the_servers() -> None:
    env = client.make("Pendulum-v1", max_episode_steps=5)
    env.reset(seed=0)
    flags = [env.step(env.action_space.sample())[2:4] for _ in range(5)]
    assert flags == [(False, False)] * 4 + [(False, True)]
    env.close()


def test_pictures_are_arrays() -> None:
    env = client.make("CartPole-v1", render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    assert picture is not None and picture.dtype == np.uint8 and picture.shape == (400, 600, 3)
    env.close()
    env = client.make("CartPole-v1")
    assert env.render() is None
    env.close()


def test_wrappers_go_around_it() -> None:
    inner = gymnasium.wrappers.TimeLimit(client.make("CartPole-v1"), 3)
    env = gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.wrappers.NormalizeObservation(inner))
    env.reset(seed=0)
    env.step(0)
    env.step(1)
    assert env.step(0)[4]["episode"]["l"] == 3
    env.close()


@pytest.mark.parametrize("action", [1, np.int64(1), np.array(1), 1.0, True])
def test_actions_may_be_numpy(action: Any) -> None:
    env = client.make("CartPole-v1")
    env.reset(seed=0)
    assert env.step(action)[1] == 1.0
    env.close()


def test_a_refused_action_changes_nothing() -> None:
    env, local = client.make("Pendulum-v1"), gymnasium.make("Pendulum-v1")
    env.reset(seed=0)
    local.reset(seed=0)
    for wrong in ([3.0], [float("nan")], [0.0, 0.0], "left"):
        with pytest.raises(client.InvalidValue):
            env.step(wrong)
    good = np.array([0.5], np.float32)
    assert same(env.step(good), local.step(good))
    env.close()


def test_errors_say_what_to_do() -> None:
    with pytest.raises(client.UnknownEnvironment, match="CartPole-v1"):
        client.make("CartPol-v1")
    env = client.make("CartPole-v1")
    with pytest.raises(client.Conflict, match="reset"):
        env.step(0)
    env.reset()
    env.connection._http.call("POST", f"/v1/envs/{env.instance_id}/close/", {})
    with pytest.raises(client.UnknownInstance, match=env.instance_id) as caught:
        env.step(0)
    assert caught.value.status_code == 400
    env.close()


def test_closing_twice_does_nothing_and_frees_the_instance(server: Server) -> None:
    env = client.make("CartPole-v1")
    env.reset()
    env.close()
    env.close()
    assert server.get(f"/v1/envs/{env.instance_id}/").status == 400
    with pytest.raises(client.ServerError, match="closed"):
        env.step(0)


IN_A_SUBPROCESS = """
import sys, gymnasium
env = gymnasium.make("gymserve.client:remote/CartPole-v1", render_mode="rgb_array")
observation, info = env.reset(seed=0)
assert observation.shape == (4,) and env.render().shape == (400, 600, 3)
env.close()
env = gymnasium.make("remote/Any-v0", env_id="Mapping-v0")
env.reset(seed=0)
env.close()
envs = gymnasium.make_vec("gymserve.client:remote/CartPole-v1", num_envs=8)
assert envs.reset(seed=0)[0].shape == (8, 4)
envs.close()
assert not [name for name in sys.modules if name.partition(".")[0] in ("flask", "gunicorn", "werkzeug")]
"""


def run(code: str, server: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"GYMSERVE_SERVER": server, "PYTHONPATH": str(ROOT), "PATH": "", "SDL_VIDEODRIVER": "dummy"},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
    )


def test_gymnasium_makes_it_by_name_without_an_import(server: Server) -> None:
    ended = run(IN_A_SUBPROCESS, server.url)
    assert ended.returncode == 0, ended.stderr


def test_modules_of_ones_own_called_client_and_grader_are_left_alone(tmp_path: Path) -> None:
    for name in ("client", "grader"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('it was imported')")
    ended = run("from gymserve import client, grader; print(client.__name__)", "http://127.0.0.1:1", tmp_path)
    assert ended.stdout == "gymserve.client\n", ended.stderr


def test_python_starts_without_anything_of_ours() -> None:
    code = "import sys; print([name for name in sys.modules if name.partition('.')[0] in ('gymserve', 'client')])"
    ended = run(code, "http://127.0.0.1:1")
    assert ended.stdout == "[]\n", ended.stderr


def test_importing_needs_no_server() -> None:
    ended = run(
        "import gymnasium; from gymserve import client; print('remote/CartPole-v1' in gymnasium.registry)",
        "http://127.0.0.1:1",
    )
    assert ended.stdout == "True\n", ended.stderr


def test_the_command_line_plays(server: Server) -> None:
    command = [sys.executable, "-m", "gymserve.client", "CartPole-v1", "--server", server.url]
    command += ["--episodes", "2", "--seed", "1"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0 and ended.stdout.count("return") == 2, ended.stderr
    ended = subprocess.run([*command[:4], "--server", "http://127.0.0.1:1"], capture_output=True, text=True)
    assert ended.returncode == 1 and "start one with" in ended.stderr and ended.stderr.count("\n") == 1
