"""Models are queried, answer and act in their environment's own spaces, whatever these are."""

import signal
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from gymserve.training.inference.model_server import ModelServer
from gymserve.training.plan.training_plan import Evaluation, TrainingPlan
from gymserve.training.plan.view import View
from gymserve.training.runners import sb3
from gymserve.training.runners.folder import Folder
from tests.training.environments.demanding import KINDS

SAMPLES = 20


@pytest.mark.parametrize("kind", KINDS)
def test_converted_values_fit_a_views_spaces(kind: str) -> None:
    observations, actions = KINDS[kind]
    view = View(observations, actions)
    for _ in range(SAMPLES):
        seen = view.observation(observations.sample())
        assert view.observation_space.contains(seen), (seen, view.observation_space)
        taken = view.action(view.action_space.sample())
        assert actions.contains(taken), (taken, actions)


def test_a_view_of_supported_spaces_changes_nothing() -> None:
    observations, actions = spaces.Dict({"a": spaces.Box(0, 1, (2,)), "b": spaces.Discrete(3)}), spaces.Discrete(2)
    view = View(observations, actions)
    value = observations.sample()
    assert view.is_plain and view.observation(value) is value and view.action(1) == 1


def trained(folder: Path, kind: str, **changes: Any) -> ModelServer:
    """Train a small model of this kind into a folder, and return the folder's models."""
    policy = {"Picture": "CnnPolicy", "Parts": "MultiInputPolicy"}.get(kind, "MlpPolicy")
    plan = TrainingPlan(
        package="stable_baselines3", algorithm="PPO", policy=policy, environment=f"{kind}-v0", total_timesteps=4,
        hyperparameters={"n_steps": 4, "batch_size": 2, "n_epochs": 1}, evaluation=Evaluation(episodes=1), tensorboard=False,
        modules=["tests.training.environments.demanding"], device="cpu",
    ).replace(**changes)  # fmt: skip
    Folder(folder / kind).prepare(plan)
    handlers = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGUSR1)]
    sb3.train(Folder(folder / kind), plan)
    for number, handler in handlers:  # this process outlives the run
        signal.signal(number, handler)
    return ModelServer(folder, folder, most=1)


def answered(models: ModelServer, **query: Any) -> Any:
    (answer,) = models.answer([{"deterministic": True, "seed": 1, "observation": None, "steps": 2, **query}])
    assert "error" not in answer, answer
    return answer["answer"]


@pytest.mark.parametrize(
    "kind", [each if each in ("Picture", "Shifted") else pytest.param(each, marks=pytest.mark.long) for each in KINDS]
)
def test_a_model_is_queried_in_its_environments_spaces(tmp_path: Path, kind: str) -> None:
    """The environment checks each action, and the rollout each observation."""
    from gymserve.protocol.spaces import codec

    answerer = trained(tmp_path, kind)
    observations, actions = (codec(each) for each in KINDS[kind])
    shown = [observations.to_json(KINDS[kind][0].sample()) for _ in range(3)]
    for action in answered(answerer, model=kind, what="predict", observations=shown):
        actions.from_json(action)
    rollout = answered(answerer, model=kind, what="rollout")
    for observation, action in zip(rollout["observations"], rollout["actions"], strict=True):
        observations.from_json(observation)
        actions.from_json(action)


@pytest.mark.parametrize("kind", ["Picture", "Shifted", "Parts"])
def test_the_exported_form_acts_in_the_same_spaces(tmp_path: Path, kind: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    answerer, (observations, _) = trained(tmp_path, kind), KINDS[kind]
    answered(answerer, model=kind, what="export")
    session = onnxruntime.InferenceSession(tmp_path / kind / "model.onnx")
    seen = [observations.sample() for _ in range(5)]
    names = list(observations) if isinstance(observations, spaces.Dict) else [None]
    parts = {name or "observation": np.stack([each if name is None else each[name] for each in seen]) for name in names}
    (actions,) = session.run(None, parts)
    from gymserve.protocol.spaces import codec

    shown = [codec(observations).to_json(each) for each in seen]
    assert actions.tolist() == answered(answerer, model=kind, what="predict", observations=shown)


def test_an_older_versions_model_is_queried_in_its_environments_spaces(tmp_path: Path) -> None:
    answerer = trained(tmp_path, "Shifted")
    (tmp_path / "Shifted" / "spaces.pkl").unlink()
    (action,) = answered(answerer, model="Shifted", what="predict", observations=[20])
    assert action in (-1, 0, 1)
    assert gymnasium.spec("Shifted-v0")


def test_a_paused_then_stopped_model_is_queried_with_its_averages(tmp_path: Path) -> None:
    answerer = trained(tmp_path, "Pausing", normalize={"norm_obs": True}, total_timesteps=10**6)
    folder = Folder(tmp_path / "Pausing")
    outcome = folder.outcome()
    assert outcome is not None and outcome["state"] == "paused" and not (folder.path / "model.zip").exists()
    answerer.experiments = tmp_path  # its checkpoint can be queried too
    running = answered(answerer, model="experiment:Pausing", what="predict", observations=[[0.5, -0.5, 0.25]])
    folder.keep_learned()
    assert answered(answerer, model="Pausing", what="predict", observations=[[0.5, -0.5, 0.25]]) == running
    loaded = answerer._get("Pausing")
    assert loaded.normal is not None and loaded.normal.obs_rms.count > 1
