"""The algorithms are those of the libraries, with their defaults; each one trains."""

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sb3_contrib
import stable_baselines3
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm

from gymserve.protocol.errors import Untrainable
from gymserve.training.inference.model_server import Loaded
from gymserve.training.plan import algorithms, hyperparameters
from gymserve.training.plan.tuned import tuned
from gymserve.training.runners.warm import Warm
from tests.training.runners.runs import Run

NAMES = [
    "A2C",
    "ARS",
    "CrossQ",
    "DDPG",
    "DQN",
    "MaskablePPO",
    "PPO",
    "QRDQN",
    "RecurrentPPO",
    "SAC",
    "TD3",
    "TQC",
    "TRPO",
]


def test_every_algorithm_of_the_libraries_is_listed() -> None:
    theirs = {
        name
        for package in (stable_baselines3, sb3_contrib)
        for name in package.__all__
        if inspect.isclass(kind := getattr(package, name)) and issubclass(kind, BaseAlgorithm)
    }
    assert [each.name for each in algorithms.everything()] == sorted(theirs) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_defaults_policies_and_spaces_are_the_librarys_own(name: str) -> None:
    algorithm = algorithms.find(name.lower())
    kind = getattr(importlib.import_module(algorithm.package), name)
    theirs = {
        parameter.name: parameter.default
        for parameter in inspect.signature(kind).parameters.values()
        if parameter.name not in algorithms.OURS
    }
    assert algorithm.defaults == theirs
    assert set(algorithm.policies) == set(kind.policy_aliases)
    assert algorithm.description and algorithm.actions
    assert hyperparameters.check(algorithm, algorithm.defaults) == algorithm.defaults
    json.dumps(algorithm.defaults)


def test_torch_is_not_imported() -> None:
    code = (
        "import sys; from gymserve.training.plan import algorithms, checker as planning; algorithms.everything(); "
        "print({'torch', 'stable_baselines3', 'sb3_contrib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_without_the_libraries_the_error_says_how_to_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Untrainable, match=r"torch, stable_baselines3, sb3_contrib is not installed: pip install"):
        algorithms.find("PPO")


def test_tuned_values_are_good_ones() -> None:
    for environment, ones in tuned().items():
        for name, values in ones.items():
            assert hyperparameters.check(algorithms.find(name), values["hyperparameters"]), environment
            assert set(values) <= {"n_envs", "total_timesteps", "normalize", "hyperparameters"}


def test_the_policy_follows_the_observations() -> None:
    ppo, crossq = algorithms.find("PPO"), algorithms.find("CrossQ")
    picture = spaces.Box(0, 255, (210, 160, 3), np.uint8)
    assert ppo.policy_for(picture) == "CnnPolicy"
    assert ppo.policy_for(spaces.Dict({"a": picture})) == "MultiInputPolicy"
    assert algorithms.find("RecurrentPPO").policy_for(spaces.Discrete(2)) == "MlpLstmPolicy"
    with pytest.raises(Untrainable, match="no policy"):
        crossq.policy_for(picture)
    with pytest.raises(Untrainable, match="Text"):
        ppo.policy_for(spaces.Text(3))


ON: dict[str, dict[str, Any]] = {
    "A2C": {"hyperparameters": {"policy_kwargs": {"net_arch": {"pi": [8], "vf": [8]}, "activation_fn": "relu"}}},
    "ARS": {"policy": "LinearPolicy", "hyperparameters": {"n_delta": 2}},
    "CrossQ": {"environment": "Pendulum-v1"},
    "DDPG": {"environment": "Pendulum-v1", "hyperparameters": {"action_noise": {"name": "normal", "sigma": 0.1}}},
    "DQN": {"environment": "Blackjack-v1", "hyperparameters": {"train_freq": [1, "episode"], "buffer_size": 1000}},
    "MaskablePPO": {"hyperparameters": {"n_steps": 64}},
    "PPO": {"environment": "FrozenLake-v1", "hyperparameters": {"n_steps": 64, "learning_rate": "lin_0.001"}},
    "QRDQN": {"hyperparameters": {"buffer_size": 1000, "policy_kwargs": {"optimizer_class": "sgd"}}},
    "RecurrentPPO": {"policy": "MlpLstmPolicy", "hyperparameters": {"n_steps": 64, "n_epochs": 1}},
    "SAC": {"environment": "Pendulum-v1", "hyperparameters": {"ent_coef": "auto_0.1"}},
    "TD3": {"environment": "Pendulum-v1"},
    "TQC": {"environment": "Pendulum-v1", "hyperparameters": {"policy_kwargs": {"n_quantiles": 5}}},
    "TRPO": {"hyperparameters": {"n_steps": 64}},
}


@pytest.mark.long  # PPO and DQN train in test_resume
@pytest.mark.parametrize("name", NAMES)
def test_each_one_trains(name: str, tmp_path: Path, warm: Warm) -> None:
    settings = {"environment": "CartPole-v1", "total_timesteps": 210, **ON[name]}
    evaluation = {"every": 0, "episodes": 1, "deterministic": True}
    package = algorithms.find(name).package
    run = Run(tmp_path, algorithm=name, package=package, evaluation=evaluation, checkpoint_every=100, **settings)
    outcome = run.to_the_end(warm)
    assert outcome["state"] == "completed", run.folder.log.read_text()
    assert outcome["timesteps"] >= 210 and outcome["evaluation"]["episodes"] == 1
    assert any("reward" in values for _, values in run.lines()) and (tmp_path / "model.zip").exists()
    assert run.folder.checkpoint() is not None
    learned = getattr(importlib.import_module(package), name).load(tmp_path / "model.zip", device="cpu")
    loaded = Loaded(tmp_path, tmp_path / "model.zip").model  # without its optimizers
    observation = learned.observation_space.sample()
    wanted, _ = learned.predict(observation, deterministic=True)
    assert np.array_equal(loaded.predict(observation, deterministic=True)[0], wanted)
