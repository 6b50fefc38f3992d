"""Runs that end after a number of episodes."""

from pathlib import Path
from typing import Any

import pytest

from gymserve.training.runners.warm import Warm
from tests.training.runners.runs import Run

pytestmark = pytest.mark.long  # test_resume has a short run that ends with its fortieth episode

RUNS: dict[str, dict[str, Any]] = {
    "PPO": {"algorithm": "PPO", "n_envs": 2, "hyperparameters": {"n_steps": 64, "batch_size": 64}},
    "DQN": {"algorithm": "DQN", "hyperparameters": {"buffer_size": 1000}},
    "ARS": {"algorithm": "ARS", "package": "sb3_contrib", "policy": "LinearPolicy", "hyperparameters": {"n_delta": 2}},
}


@pytest.mark.parametrize("name", RUNS)
def test_it_reports_the_requested_episodes_and_learns_from_all_steps(name: str, tmp_path: Path, warm: Warm) -> None:
    run = Run(tmp_path, environment="CartPole-v1", **{**RUNS[name], "total_timesteps": 100_000, "total_episodes": 7})
    outcome = run.to_the_end(warm)
    assert outcome["state"] == "completed", run.folder.log.read_text()
    assert len([values for _, values in run.lines() if "reward" in values]) == 7
    assert outcome["timesteps"] < 5000 and (name != "PPO" or outcome["timesteps"] % 128 == 0)


def test_the_environment_may_be_one_of_gymserves(tmp_path: Path, warm: Warm) -> None:
    settings = {"algorithm": "A2C", "environment": "runt/Offloading-v0", "env_kwargs": {"n_UE": 1}}
    run = Run(tmp_path, **settings, total_timesteps=300, total_episodes=3)
    assert run.to_the_end(warm)["timesteps"] == 300
