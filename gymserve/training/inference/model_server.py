"""Asks models: predictions, those of one model together, and roll-outs in its environment. Needs torch."""

import contextlib
import functools
import importlib
import inspect
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.save_util import load_from_pkl, load_from_zip_file
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from gymserve.protocol import errors
from gymserve.protocol.spaces import Codec, codec
from gymserve.training.inference.client import EXPERIMENT
from gymserve.training.inference.exporting import export
from gymserve.training.plan.view import View
from gymserve.training.runners import making
from gymserve.training.runners.folder import SPACES, Folder

MOST_OBSERVATIONS = 100_000


class NoOptimizer:
    """Stands where a model has its optimizers: predictions need none, and making one imports `torch._dynamo` for a second."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def load_state_dict(self, *_: Any, **__: Any) -> None:
        pass


def _load(kind: Any, file: Path) -> Any:
    """A model that predicts, and cannot be trained."""
    data, _, _ = load_from_zip_file(file, device="cpu")
    assert data is not None
    replaced = {}
    if "optimizer_class" in inspect.signature(data["policy_class"]).parameters:
        replaced["policy_kwargs"] = {**data["policy_kwargs"], "optimizer_class": NoOptimizer}
    return kind.load(file, device="cpu", custom_objects=replaced)


class Loaded:
    """A model in memory, and its environment.

    Args:
        folder: where its plan is.
        file: that of the model.
    """

    def __init__(self, folder: Path, file: Path) -> None:
        self.plan = Folder(folder).training_plan()
        kind = getattr(importlib.import_module(self.plan.package), self.plan.algorithm)
        self.model = _load(kind, file)
        spaces = self._spaces(folder / SPACES)
        self.view = View(*spaces)
        self.observations: Codec = codec(spaces[0])
        self.actions: Codec = codec(spaces[1])
        self.normal: VecNormalize | None = None
        if (averages := file.with_name("normalize.pkl")).exists():
            self.normal = load_from_pkl(averages)

    def _spaces(self, file: Path) -> Any:
        """Those of the observations and actions that it is asked with."""
        if file.exists():
            return load_from_pkl(file)
        try:  # an older version's model
            return making.spaces_of(self.env, self.plan)
        except Exception:  # whatever an environment raises that cannot be made here any more
            return self.model.observation_space, self.model.action_space

    def predict(self, observations: list[Any], *, deterministic: bool) -> list[Any]:
        """An action, as JSON holds it, for each observation, both as the environment has them."""
        batch = _stacked([self.view.observation(each) for each in observations])
        if self.normal is not None:
            batch = self.normal.normalize_obs(batch)
        found, _ = self.model.predict(batch, deterministic=deterministic)
        return [self.action(each) for each in found]

    def action(self, chosen: Any) -> Any:
        """What the policy has chosen, as JSON holds it."""
        return self.actions.to_json(self.view.action(chosen))

    def export(self, folder: Path) -> str:
        """Writes an ONNX file, see `exporting.export`, and returns its name."""
        told = {"algorithm": self.plan.algorithm, "environment": self.plan.env_id}
        export(self.model, self.normal, self.view, folder / "model.onnx", told=told)
        return "model.onnx"

    @functools.cached_property
    def env(self) -> VecEnv:
        """One copy of the environment that it was trained in, with observations as they are."""
        return making.make(self.plan.replace(normalize=None), training=False)

    def close(self) -> None:
        if "env" in vars(self):
            self.env.close()


class ModelServer:
    """Args:
    folder: that of all models.
    experiments: that of all experiments.
    most: how many models are kept in memory.
    """

    def __init__(self, folder: Path, experiments: Path, *, most: int) -> None:
        torch.set_num_threads(1)
        self.folder, self.experiments, self.most = folder, experiments, most
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
        averages = file.with_name("normalize.pkl")
        if (
            Folder(folder).training_plan().normalize is not None and not averages.exists()
        ):  # an older version's checkpoint
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
    env = loaded.env
    if asked["seed"] is not None:
        env.seed(asked["seed"])
    if asked["observation"] is not None:
        first = loaded.observations.from_json(asked["observation"], name="observation")
        env.set_options({"observation": loaded.observations.to_json(first)})
    observation: Any = env.reset()
    told: dict[str, Any] = {"observations": [], "actions": [], "rewards": [], "done": False}
    while len(told["rewards"]) < steps and not told["done"]:
        told["observations"].append(loaded.observations.to_json(making.observation_of(env, loaded.plan, observation)))
        shown = observation if loaded.normal is None else loaded.normal.normalize_obs(observation)
        action, _ = loaded.model.predict(shown, deterministic=asked["deterministic"])
        observation, rewards, dones, _ = env.step(action)
        told["actions"].append(loaded.action(action[0]))
        told["rewards"].append(float(rewards[0]))
        told["done"] = bool(dones[0])
    return told
