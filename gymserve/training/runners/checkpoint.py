"""The complete state of a Stable-Baselines3 run, saved and restored at the boundary between two rollouts.

Beside the model (whose file holds its optimizers and counters) it includes the replay buffer, the environments' unfinished
episodes, running averages, values that the logger has not written yet, and the state of every random generator.
"""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.save_util import load_from_pkl, save_to_pkl
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from gymserve.protocol.generics import Space
from gymserve.protocol.wire import JSONObject
from gymserve.training.plan.training_plan import TrainingPlan
from gymserve.training.runners import plain

_NOTHING = object()
KEPT_BY_WRAPPERS = ("obs_rms", "ret_rms", "returns", "old_obs", "old_reward", "stacked_obs")
KEPT_BY_MODELS = ("_last_lstm_states", "old_count")  # attributes that a model's own file leaves out


def save(
    model: BaseAlgorithm, folder: Path, *, metrics_bytes: int, hyperparameters: JSONObject, more: Mapping[str, object]
) -> None:
    """Write a checkpoint; `more` is the callback's own state."""
    model.save(folder / "model.zip")
    if (averages := model.get_vec_normalize_env()) is not None:
        averages.save(str(folder / "normalize.pkl"))
    if isinstance(model, OffPolicyAlgorithm):
        model.save_replay_buffer(folder / "replay.pkl")
    env = model.get_env()
    assert env is not None
    state = {
        "episodes": env.env_method("snapshot"),
        "wrappers": [_attributes(wrapper, KEPT_BY_WRAPPERS) for wrapper in _wrappers(env)],
        "model": _attributes(model, KEPT_BY_MODELS),
        "action_noise": getattr(model, "action_noise", None),
        "logger": _attributes(model.logger, ("name_to_value", "name_to_count", "name_to_excluded")),
        "random": random.getstate(),
        "numpy": numpy.random.get_state(),
        "torch": torch.get_rng_state(),
        "actions": _generators(model.action_space),
        "more": more,
    }
    save_to_pkl(folder / "state.pkl", state)
    note = {"timesteps": model.num_timesteps, "metrics_bytes": metrics_bytes, "hyperparameters": hyperparameters}
    (folder / "note.json").write_text(json.dumps(note))


class Restored:
    """A run restored from a checkpoint.

    Args:
        plan: the current plan; hyper-parameters that were changed since the checkpoint are applied.

    Attributes:
        model: the model with its networks, optimizers, counters and replay buffer.
        whole: whether the environments were restored too; if not, new episodes start.
        more: the callback's state.
    """

    def __init__(self, kind: type[BaseAlgorithm], folder: Path, env: VecEnv, plan: TrainingPlan) -> None:
        self._state: dict[str, Any] = load_from_pkl(folder / "state.pkl")  # Any: what was pickled
        before = json.loads((folder / "note.json").read_text())["hyperparameters"]
        changed = {name: value for name, value in plan.hyperparameters.items() if before.get(name, _NOTHING) != value}
        arguments = plain.arguments(changed, env)
        self.model = kind.load(folder / "model.zip", env=env, device=plan.device, force_reset=False, **arguments)
        self.more: dict[str, Any] = self._state["more"]  # Any: what was pickled
        if isinstance(self.model, OffPolicyAlgorithm):
            self.model.load_replay_buffer(folder / "replay.pkl", truncate_last_traj=False)
        for wrapper, kept in zip(_wrappers(env), self._state["wrappers"], strict=True):
            vars(wrapper).update(kept)
        vars(self.model).update(self._state["model"])
        self.whole = all(
            env.env_method("restore", snapshot, indices=number)[0]
            for number, snapshot in enumerate(self._state["episodes"])
        )
        if not self.whole:
            self.model._last_obs = None
            env.seed((self.model.seed or 0) + self.model.num_timesteps)

    def begin(self) -> None:
        """Restore what the beginning of `learn` changes; call this at the start of its first rollout."""
        if self._state["action_noise"] is not None:  # update in place, since the rollout already holds this object
            vars(self.model.action_noise).update(vars(self._state["action_noise"]))
        vars(self.model.logger).update(self._state["logger"])
        _set_generators(self.model.action_space, self._state["actions"])
        random.setstate(self._state["random"])
        numpy.random.set_state(self._state["numpy"])
        torch.set_rng_state(self._state["torch"])


def _attributes(holder: object, names: tuple[str, ...]) -> dict[str, object]:
    return {name: vars(holder)[name] for name in names if name in vars(holder)}


def _wrappers(env: VecEnv) -> list[VecEnvWrapper]:
    wrappers = []
    while isinstance(env, VecEnvWrapper):
        wrappers.append(env)
        env = env.venv
    return wrappers


def _generators(space: Space) -> object:
    return space.np_random.bit_generator.state


def _set_generators(space: Space, state: JSONObject) -> None:
    space.np_random.bit_generator.state = state
