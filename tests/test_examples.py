"""The examples run as printed, against a real server."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT, Server


def run(*command: object) -> str:
    environment = {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    done = subprocess.run([str(word) for word in command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_random_agent_with_curl_alone(server: Server) -> None:
    before = server.get("/v1/envs/").json["all_envs"]
    printed = run("bash", "examples/random_agent.sh", server.url)
    assert "return " in printed and " steps" in printed
    assert server.get("/v1/envs/").json["all_envs"] == before


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "LunarLander-v3"])
def test_a_random_agent_with_the_client(server: Server, env_id: str) -> None:
    assert run(sys.executable, "examples/random_agent.py", server.url, env_id).startswith("return ")


def test_stable_baselines3_learns_remotely(server: Server) -> None:
    printed = run(sys.executable, "examples/sb3_ppo.py", server.url, 12_000)
    assert float(printed.split()[2]) > 100  # a random agent has 22


@pytest.mark.slow
def test_ppo_solves_remote_cartpole(server: Server) -> None:
    assert "solved: mean return" in run(sys.executable, "examples/ppo_cartpole.py", server.url)
