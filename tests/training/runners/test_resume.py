"""A paused and resumed run equals an uninterrupted one exactly."""

from pathlib import Path
from typing import Any

import pytest
import torch
from stable_baselines3.common.save_util import load_from_zip_file

from gymserve.training.runners.warm import Warm
from tests.training.runners.runs import Run

CONTRIB = {"package": "sb3_contrib"}
SHORT = ("PPO, to its last episode",)  # the others need their length
PAUSED = "an experiment is paused and resumed"
EPISODES = "an experiment with a number of episodes is paused and resumed"
RUNS: dict[str, dict[str, Any]] = {
    "PPO, normalised, two copies": {
        "algorithm": "PPO", "environment": "CartPole-v1", "total_timesteps": 8192, "n_envs": 2, "normalize": {},
        "hyperparameters": {"n_steps": 128, "learning_rate": "lin_3e-4"},
        "evaluation": {"every": 1000, "episodes": 2, "deterministic": True},
    },
    "PPO with state-dependent exploration, Box2D, to its last episode": {
        "algorithm": "PPO", "environment": "LunarLanderContinuous-v3", "total_timesteps": 61440, "total_episodes": 40,
        "hyperparameters": {"n_steps": 256, "use_sde": True, "sde_sample_freq": 8},
    },
    "DQN": {
        "algorithm": "DQN", "environment": "CartPole-v1", "total_timesteps": 1500,
        "hyperparameters": {"buffer_size": 600, "learning_starts": 300},
    },
    "PPO, to its last episode": {
        "algorithm": "PPO", "environment": "CartPole-v1", "total_timesteps": 10000, "total_episodes": 25,
        "hyperparameters": {"n_steps": 64},
    },
    "SAC with noise": {
        "algorithm": "SAC", "environment": "Pendulum-v1", "total_timesteps": 520, "max_episode_steps": 40,
        "hyperparameters": {
            "buffer_size": 300, "batch_size": 32, "learning_starts": 100,
            "action_noise": {"name": "ornstein-uhlenbeck", "sigma": 0.1},
        },
    },
    "RecurrentPPO, MuJoCo": {
        **CONTRIB, "algorithm": "RecurrentPPO", "environment": "InvertedPendulum-v5", "policy": "MlpLstmPolicy",
        "total_timesteps": 3072, "hyperparameters": {"n_steps": 128, "n_epochs": 2},
    },
}  # fmt: skip


CASES = [pytest.param(name, marks=[] if name in SHORT else pytest.mark.long) for name in RUNS]


@pytest.mark.guarantee(PAUSED)
@pytest.mark.guarantee(EPISODES)
@pytest.mark.parametrize("name", CASES)
def test_a_resumed_run_equals_an_uninterrupted_one(name: str, tmp_path: Path, warm: Warm) -> None:
    unbroken, broken = Run(tmp_path / "unbroken", **RUNS[name]), Run(tmp_path / "broken", **RUNS[name])
    ended = unbroken.to_the_end(warm)
    paused = broken.until_paused(warm, 3)
    assert paused["state"] == "paused" and 0 < paused["timesteps"] < RUNS[name]["total_timesteps"]
    assert broken.to_the_end(warm) == ended
    assert ended["state"] == "completed" and len(unbroken.lines()) > 8
    assert broken.lines() == unbroken.lines()

    weights = []
    for run in (unbroken, broken):
        _, parameters, _ = load_from_zip_file(run.folder.path / "model.zip")
        weights.append(parameters["policy"])
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@pytest.mark.long
def test_changed_hyperparameters_apply_after_resuming(tmp_path: Path, warm: Warm) -> None:
    settings = {"algorithm": "PPO", "environment": "CartPole-v1", "total_timesteps": 4096}
    run = Run(tmp_path, **settings, hyperparameters={"n_steps": 128})
    paused = run.until_paused(warm, 5)["timesteps"]
    run.folder.prepare(run.folder.training_plan().replace(hyperparameters={"n_steps": 128, "learning_rate": 0.5}))
    run.to_the_end(warm)
    rates = {step: values["train/learning_rate"] for step, values in run.lines() if "train/learning_rate" in values}
    # At a log point the library writes the values of the update before it.
    assert {rate for step, rate in rates.items() if step <= paused + 128} == {0.0003}
    assert {rate for step, rate in rates.items() if step > paused + 128} == {0.5}


@pytest.mark.long
def test_a_nondeterministic_environment_starts_a_new_episode(tmp_path: Path, warm: Warm) -> None:
    settings = {"algorithm": "PPO", "environment": "Drifting-v0", "modules": ["tests.training.environments.troubled"]}
    run = Run(tmp_path, **settings, total_timesteps=2048, hyperparameters={"n_steps": 128})
    assert run.until_paused(warm, 2)["state"] == "paused"
    assert run.to_the_end(warm)["state"] == "completed"
    timesteps = [step for step, values in run.lines() if "reward" in values]
    assert timesteps == sorted(set(timesteps)) and len(timesteps) > 15
