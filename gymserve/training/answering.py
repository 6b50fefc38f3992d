"""Asks models: predictions, those of one model together, and roll-outs in its environment. Needs torch."""

import contextlib
import functools
import importlib
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.save_util import load_from_pkl
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from gymserve import errors
from gymserve.settings import Settings
from gymserve.spaces import Codec, codec
from gymserve.training.exporting import export
from gymserve.training.inference import EXPERIMENT
from gymserve.training.runners import making
from gymserve.training.runners.folder import Folder

MOST_STEPS = 10_000  # of a roll-out
MOST_OBSERVATIONS = 100_000


class Loaded:
    """A model in memory, and its environment.

    Args:
        folder: where its order is.
        file: that of the model.
    """

    def __init__(self, folder: Path, file: Path) -> None:
        self.order = json.loads((folder / "order.json").read_text())
        kind = getattr(importlib.import_module(self.order["package"]), self.order["algorithm"])
        self.model = kind.load(file, device="cpu")
        self.observations: Codec = codec(self.model.observation_space)
        self.actions: Codec = codec(self.model.action_space)
        self.normal: VecNormalize | None = None
        if (folder / "normalize.pkl").exists():
            self.normal = load_from_pkl(folder / "normalize.pkl")

    def predict(self, observations: list[Any], *, deterministic: bool) -> list[Any]:
        """An action, as JSON holds it, for each observation (of the model's own space)."""
        batch = _stacked(observations)
        if self.normal is not None:
            batch = self.normal.normalize_obs(batch)
        found, _ = self.model.predict(batch, deterministic=deterministic)
        return [self.actions.to_json(action) for action in found]

    def export(self, folder: Path) -> str:
        """Writes an ONNX file, see `exporting.export`, and returns its name."""
        names = ("algorithm", "environment")
        export(self.model, self.normal, folder / "model.onnx", told={name: self.order[name] for name in names})
        return "model.onnx"

    @functools.cached_property
    def env(self) -> VecEnv:
        """One copy of the environment that it was trained in, with observations as they are."""
        return making.make({**self.order, "normalize": None}, training=False)

    def close(self) -> None:
        if "env" in vars(self):
            self.env.close()


class Answerer:
    """Args:
    folder: that of all models.
    experiments: that of all experiments.
    most: how many models are kept in memory.
    """

    def __init__(self, folder: Path, experiments: Path, settings: Settings, *, most: int) -> None:
        torch.set_num_threads(1)
        self.folder, self.experiments, self.settings, self.most = folder, experiments, settings, most
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()

    def answer(self, questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """`{"answer"}` or `{"error", "message"}` for each; predictions of one model are made together."""
        answers: list[dict[str, Any]] = [{} for _ in questions]
        together: dict[tuple[str, bool], list[tuple[int, list[Any]]]] = {}
        for index, asked in enumerate(questions):
            try:
                loaded = self._get(asked["model"])
                if asked["what"] == "rollout":
                    answers[index] = {"answer": _rollout(loaded, asked)}
                elif asked["what"] == "export":
                    answers[index] = {"answer": loaded.export(self.folder / asked["model"])}
                else:
                    read = _observations(loaded, asked["observations"])
                    together.setdefault((asked["model"], asked["deterministic"]), []).append((index, read))
            except Exception as error:
                answers[index] = _refused(error)
        for (name, deterministic), parts in together.items():
            try:
                all_of_them = [each for _, read in parts for each in read]
                found = iter(self._get(name).predict(all_of_them, deterministic=deterministic))
                for index, read in parts:
                    answers[index] = {"answer": [next(found) for _ in read]}
            except Exception as error:
                for index, _ in parts:
                    answers[index] = _refused(error)
        return answers

    def _get(self, name: str) -> Loaded:
        folder, file = self._place(name)
        try:
            key = name if folder.parent == self.folder else f"{file} {file.stat().st_mtime_ns}"
            loaded = self._loaded.get(key) or Loaded(folder, file)
        except FileNotFoundError as error:
            raise errors.Unavailable("the checkpoint has just made place for another one: try again") from error
        if key not in self._loaded:
            self._loaded[key] = loaded
            while len(self._loaded) > self.most:
                self._loaded.popitem(last=False)[1].close()
        self._loaded.move_to_end(key)
        return loaded

    def _place(self, name: str) -> tuple[Path, Path]:
        """The folder and the file of a model, or of what an experiment has learnt so far.

        Raises:
            NotFound: there is no such model.
            Conflict: the experiment has learnt nothing that could be asked.
        """
        if not name.startswith(EXPERIMENT):
            if not (self.folder / name / "model.zip").exists():
                raise errors.NotFound(f"there is no model {name}")
            return self.folder / name, self.folder / name / "model.zip"
        folder = self.experiments / name.removeprefix(EXPERIMENT)
        newest = Folder(folder).checkpoint()
        found = [place / "model.zip" for place in (folder, newest) if place and (place / "model.zip").exists()]
        if not found:
            raise errors.Conflict("the experiment has neither a model nor a checkpoint yet")
        file = found[-1] if _later(found[-1], found[0]) else found[0]
        if file.parent != folder and Folder(folder).order().get("normalize") is not None:
            raise errors.Conflict("the experiment's running averages can be had at its end only: stop it first")
        return folder, file


def _later(one: Path, other: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):  # which will be noticed when it is read
        return one.stat().st_mtime_ns > other.stat().st_mtime_ns
    return False


def _refused(error: Exception) -> dict[str, Any]:
    if isinstance(error, errors.GymserveError):
        return {"error": type(error).__name__, "message": str(error)}
    line = str(error).partition("\n")[0]
    return {"error": "EnvironmentFailed", "message": f"the model cannot be asked: {type(error).__name__}: {line:.300}"}


def _observations(loaded: Loaded, given: Any) -> list[Any]:
    if not isinstance(given, list) or not 0 < len(given) <= MOST_OBSERVATIONS:
        raise errors.InvalidRequest(f"observations must be a list of 1 to {MOST_OBSERVATIONS} observations")
    return [loaded.observations.from_json(each, name=f"observations[{index}]") for index, each in enumerate(given)]


def _stacked(observations: list[Any]) -> Any:
    if isinstance(observations[0], dict):
        return {name: np.stack([each[name] for each in observations]) for name in observations[0]}
    return np.stack(observations)


def _rollout(loaded: Loaded, asked: dict[str, Any]) -> dict[str, Any]:
    """What the model does in its environment: from a seed, or from an observation where the environment can begin there."""
    steps = asked["steps"]
    if type(steps) is not int or not 0 < steps <= MOST_STEPS:
        raise errors.InvalidRequest(f"steps must be an integer from 1 to {MOST_STEPS}, not {steps!r:.50}")
    env = loaded.env
    if asked["seed"] is not None:
        env.seed(asked["seed"])
    if asked["observation"] is not None:
        first = loaded.observations.from_json(asked["observation"], name="observation")
        env.set_options({"observation": loaded.observations.to_json(first)})
    observation: Any = env.reset()
    told: dict[str, Any] = {"observations": [], "actions": [], "rewards": [], "done": False}
    while len(told["rewards"]) < steps and not told["done"]:
        told["observations"].append(loaded.observations.to_json(_first(observation)))
        shown = observation if loaded.normal is None else loaded.normal.normalize_obs(observation)
        action, _ = loaded.model.predict(shown, deterministic=asked["deterministic"])
        observation, rewards, dones, _ = env.step(action)
        told["actions"].append(loaded.actions.to_json(action[0]))
        told["rewards"].append(float(rewards[0]))
        told["done"] = bool(dones[0])
    return told


def _first(batch: Any) -> Any:
    return {name: part[0] for name, part in batch.items()} if isinstance(batch, dict) else batch[0]
