"""The examples run as printed, against a real server."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from gymserve.environments import opensim
from tests import ROOT
from tests.support.servers import Server, wait_for


def run(*command: object) -> str:
    environment = {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    words = [ROOT / word if str(word).startswith("examples/") else word for word in command]
    done = subprocess.run([str(word) for word in words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.needs("curl")
def test_a_random_agent_with_curl_alone(server: Server) -> None:
    before = server.get("/v1/envs/").json["all_envs"]
    printed = run("bash", "examples/random_agent.sh", server.url)
    assert "return " in printed and " steps" in printed
    assert server.get("/v1/envs/").json["all_envs"] == before


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
