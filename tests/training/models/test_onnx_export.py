"""ONNX graphs act like the models: discrete and continuous actions, averages, observations of several kinds."""

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import onnxruntime
import pytest
from gymnasium import spaces
from sb3_contrib import RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from gymserve.training.inference.model_server import ModelServer


class Both(gymnasium.Env):
    """An environment with Dict observations and two discrete actions."""

    observation_space = spaces.Dict({"a": spaces.Box(-5, 5, (3,)), "b": spaces.Discrete(4)})
    action_space = spaces.MultiDiscrete([3, 2])

    def reset(self, **more: Any) -> Any:
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        return self.observation_space.sample(), 0.0, False, False, {}


CASES = {
    "ppo": (PPO, "MlpPolicy", lambda: gymnasium.make("CartPole-v1"), {}),
    "continuous": (PPO, "MlpPolicy", lambda: gymnasium.make("Pendulum-v1"), {}),
    "sac": (SAC, "MlpPolicy", lambda: gymnasium.make("Pendulum-v1"), {"buffer_size": 10}),
    "dqn": (DQN, "MlpPolicy", lambda: gymnasium.make("CartPole-v1"), {"buffer_size": 10}),
    "lake": (A2C, "MlpPolicy", lambda: gymnasium.make("FrozenLake-v1"), {}),
    "dict": (PPO, "MultiInputPolicy", Both, {}),
    "recurrent": (RecurrentPPO, "MlpLstmPolicy", lambda: gymnasium.make("CartPole-v1"), {}),
}


def kept(folder: Path, name: str, *, normalised: bool = False) -> Any:
    """Save a new model of the case in a folder like the registry's."""
    kind, policy, make, more = CASES[name]
    env: Any = DummyVecEnv([make])
    if normalised:
        env = VecNormalize(env)
        for _ in range(50):
            env.obs_rms.update(np.random.default_rng(1).normal(2.0, 3.0, (10, *env.observation_space.shape)))
    model = kind(policy, env, seed=1, device="cpu", **more)
    (folder / name).mkdir()
    model.save(folder / name / "model.zip")
    if normalised:
        env.save(str(folder / name / "normalize.pkl"))
    plan = {"package": kind.__module__.partition(".")[0], "algorithm": kind.__name__, "environment": "Some-v0"}
    (folder / name / "plan.json").write_text(json.dumps(plan))
    return model


def exported(folder: Path, name: str) -> tuple[ModelServer, Any]:
    answerer = ModelServer(folder, folder, most=1)
    (answer,) = answerer.answer([{"what": "export", "model": name}])
    assert "error" not in answer, answer
    return answerer, onnxruntime.InferenceSession(folder / name / "model.onnx")


@pytest.mark.parametrize(
    "name, normalised",
    [
        ("ppo", False),
        ("ppo", True),
        ("continuous", True),
        ("sac", False),
        ("sac", True),
        ("dqn", False),
        ("lake", False),
    ],
)
def test_its_actions_are_those_of_predict(tmp_path: Path, name: str, normalised: bool) -> None:
    model = kept(tmp_path, name, normalised=normalised)
    answerer, session = exported(tmp_path, name)
    shown = np.stack([model.observation_space.sample() for _ in range(50)])
    if model.observation_space.shape == (4,):  # some bounds are infinite
        shown = shown.clip(-0.4, 0.4)
    (answer,) = answerer.answer(
        [
            {"what": "predict", "model": name, "observations": shown.tolist(), "deterministic": True},
        ]
    )
    (actions,) = session.run(None, {"observation": shown})
    assert np.allclose(actions, np.array(answer["answer"]), atol=1e-5), answer
    assert session.get_modelmeta().custom_metadata_map["environment"] == "Some-v0"


def test_parts_of_a_dict_are_inputs_of_their_names(tmp_path: Path) -> None:
    model = kept(tmp_path, "dict")
    _, session = exported(tmp_path, "dict")
    seen = [model.observation_space.sample() for _ in range(20)]
    parts = {name: np.stack([each[name] for each in seen]) for name in ("a", "b")}
    (actions,) = session.run(None, parts)
    assert actions.tolist() == model.predict(parts, deterministic=True)[0].tolist()


def test_a_policy_with_a_memory_is_refused(tmp_path: Path) -> None:
    kept(tmp_path, "recurrent")
    (answer,) = ModelServer(tmp_path, tmp_path, most=1).answer([{"what": "export", "model": "recurrent"}])
    assert answer["error"] == "Conflict" and "RecurrentPPO has a memory" in answer["message"]
