"""The examples run as printed, against a real server."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gymnasium
import pytest

from gymserve.environments import opensim
from tests import ROOT
from tests.support.servers import Server, wait_for

CORRIDOR = ROOT / "examples" / "corridor"


def run(*command: object, cwd: Path | None = None, **variables: str) -> str:
    environment = {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **variables}
    words = [ROOT / str(word) if str(word).startswith("examples/") else word for word in command]
    done = subprocess.run([str(word) for word in words], env=environment, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.needs("curl")
def test_a_random_agent_with_curl_alone(server: Server) -> None:
    before = server.get("/v1/envs/").json["all_envs"]
    printed = run("bash", "examples/random_agent.sh", server.url)
    assert "return " in printed and " steps" in printed
    assert server.get("/v1/envs/").json["all_envs"] == before


def test_an_agent_with_the_standard_library_alone(server: Server) -> None:
    assert re.fullmatch(
        r"return (\d+) after \1 steps\n", run(sys.executable, "-I", "examples/http_agent.py", server.url)
    )


@pytest.mark.needs("node")
def test_an_agent_in_javascript(server: Server) -> None:
    assert re.fullmatch(r"return (\d+) after \1 steps\n", run("node", "examples/javascript/http_agent.mjs", server.url))


@pytest.mark.needs("c++")
def test_an_agent_in_cpp(server: Server, tmp_path: Path) -> None:
    run("c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-o", tmp_path / "agent", "examples/cpp/http_agent.cpp")
    printed = run(tmp_path / "agent", "127.0.0.1", urlsplit(server.url).port)
    assert int(printed.split()[1]) > 100  # at random it would be 22


@pytest.mark.needs("node")
def test_an_agent_in_javascript_that_receives_bytes(server: Server) -> None:
    assert int(run("node", "examples/javascript/msgpack_agent.mjs", server.url).split()[2]) > 100


@pytest.mark.needs("c++")
def test_an_agent_in_cpp_that_receives_bytes(server: Server, tmp_path: Path) -> None:
    run("c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-o", tmp_path / "agent", "examples/cpp/msgpack_agent.cpp")
    assert int(run(tmp_path / "agent", "127.0.0.1", urlsplit(server.url).port).split()[2]) > 100


@pytest.mark.parametrize(
    ("language", "example"), [("js", "javascript/msgpack_agent.mjs"), ("cpp", "cpp/msgpack_agent.cpp")]
)
def test_the_api_page_shows_lines_of_the_examples(language: str, example: str) -> None:
    page, source = (ROOT / "docs" / "agents" / "api.md").read_text(), (ROOT / "examples" / example).read_text()
    (shown,) = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    assert shown.strip() in source


def test_an_agent_for_64_environments(server: Server) -> None:
    assert float(run(sys.executable, "examples/vector_agent.py", server.url).split()[4].rstrip(",")) > 100


def test_an_agent_for_8_environments_at_the_same_time(server: Server) -> None:
    printed = run(sys.executable, "examples/vector_agent_async.py", server.url, "CartPole-v1")
    assert int(printed.split()[0]) > 8


@pytest.mark.long
def test_training_over_the_api(server: Server) -> None:
    printed = run(sys.executable, "examples/train_by_api.py", server.url, 1000)
    assert printed.startswith("reward ") and "has a return of" in printed


@pytest.mark.long
def test_an_environment_and_a_challenge_of_ones_own(
    start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the example's README.md says."""
    monkeypatch.setenv("PYTHONPATH", str(CORRIDOR))
    server = start(ENVIRONMENT_MODULES=["corridor"])
    gymserve = (sys.executable, "-m", "gymserve.cli")
    settings = {"GYMSERVE_ENVIRONMENT_MODULES": '["corridor"]'}
    checked = run(*gymserve, "challenge", "check", "challenge.toml", "--data", server.data, cwd=CORRIDOR, **settings)
    assert "verified" in checked
    run(*gymserve, "challenge", "create", "challenge.toml", "--data", server.data, cwd=CORRIDOR, **settings)
    agent = ("--challenge", "corridor", "--agent", "agent:act", "--server", server.url)
    submitted = run(*gymserve, "submit", *agent, cwd=CORRIDOR)
    assert "score 0.93" in submitted and "graded, verified" in submitted


@pytest.fixture
def challenge_server() -> Iterator[str]:
    """The address of the example's challenge server."""
    command = [sys.executable, "-u", str(ROOT / "examples" / "challenge_server.py"), "0", "a-secret"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def test_a_challenge_server_of_ones_own(start: Callable[..., Server], challenge_server: str) -> None:
    server = start(CHALLENGE_SERVER_URL=challenge_server, CHALLENGE_SERVER_TOKEN="a-secret")
    challenge = {"name": "pole", "environment": "CartPole-v1", "max_episode_steps": 5, "trials": {"number": 1}}
    assert server.post("/challenges/", {"definition": challenge}).status == 200
    body = {"env_id": "CartPole-v1", "version": "3.0.11"}  # as clients of the osim-rl grader begin a submission
    assert "no such key" in server.post("/v1/envs/", {**body, "token": "nobody-s-key"}).json["message"]
    instance = f"/v1/envs/{server.post('/v1/envs/', {**body, 'token': 'ada-s-key'}).json['token']}"
    server.post(f"{instance}/reset/")
    while not server.post(f"{instance}/step/", {"action": 1}).json["done"]:
        pass
    server.post(f"{instance}/close/")
    expected = [{"participant": 1, "score": 5.0}]
    board = challenge_server.removesuffix("/api")
    wait_for(lambda: json.load(urllib.request.urlopen(board, timeout=10)) == expected, 60)


@pytest.mark.parametrize(
    "env_id",
    ["LunarLander-v3", *(pytest.param(each, marks=pytest.mark.long) for each in ("CartPole-v1", "Pendulum-v1"))],
)
def test_a_random_agent_with_the_client(server: Server, env_id: str) -> None:
    assert run(sys.executable, "examples/random_agent.py", server.url, env_id).startswith("return ")


@pytest.mark.long
def test_stable_baselines3_learns_remotely(server: Server) -> None:
    printed = run(sys.executable, "examples/sb3_ppo.py", server.url, 12_000)
    assert float(printed.split()[2]) > 100  # a random agent has 22


@pytest.mark.long
def test_ppo_solves_remote_cartpole(server: Server) -> None:
    assert "solved: mean return" in run(sys.executable, "examples/ppo_cartpole.py", server.url)


RUN = ROOT / "examples" / "learning-to-run"


@pytest.mark.long
@pytest.mark.needs("opensim")
def test_the_reflex_controller_moves_forward() -> None:
    spec = importlib.util.spec_from_file_location("controller", RUN / "controller.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    opensim.register()
    env = gymnasium.make("osim/Run-v0", difficulty=0, max_obstacles=0, max_episode_steps=500)
    controller, distance, over = module.Controller(), 0.0, False
    observation, _ = env.reset(seed=0)
    while not over:
        observation, reward, terminated, truncated, _ = env.step(controller.act(observation))
        distance, over = distance + float(reward), terminated or truncated
    env.close()
    assert distance > 0.5  # a passive body falls backwards at once


@pytest.mark.needs("opensim")
@pytest.mark.long
def test_learning_to_run_with_the_old_graders_requests(start: Any) -> None:
    """Plays a shortened version of the shipped challenge with the requests of the clients of 2017."""
    server: Server = start(AUTH="token")
    (_, organiser), (_, key) = server.account("o", "organiser"), server.account("a")
    text = (RUN / "challenge.toml").read_text()
    short = text.replace("max_episode_steps = 1000", "max_episode_steps = 6").replace("number = 3 ", "number = 2 ")
    made = server.post("/challenges/", {"toml": short}, Authorization=f"Bearer {organiser}")
    assert made.status == 200 and made.json["phase"] == "public", made.body
    begun = server.post("/v1/envs/", {"env_id": "Run", "token": key, "version": "1.5.1"}).json
    instance = f"/v1/envs/{begun['instance_id']}"
    monitor = {"directory": "tmp", "force": True, "resume": False, "video_callable": False}
    assert server.post(f"{instance}/monitor/start/", monitor).status == 204
    trials = 0
    while observation := server.post(f"{instance}/reset/").json["observation"]:
        assert len(observation) == 41
        trials, done = trials + 1, False
        while not done:
            done = server.post(f"{instance}/step/", {"action": [0.1] * 18, "render": False}).json["done"]
    assert trials == 2
    assert isinstance(server.post(f"{instance}/monitor/close/").json["reward"], float)
    assert server.post(f"{instance}/close/").status == 204
    path = f"/submissions/{begun['submission_id']}/"
    submission = wait_for(
        lambda: (now := server.get(path, Authorization=f"Bearer {key}").json)["state"] == "graded" and now, 60
    )
    assert submission["verdict"] == "verified"
