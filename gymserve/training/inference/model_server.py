"""Answers queries to models: predictions, batched by model, and rollouts in a model's environment. Needs torch."""

import contextlib
import functools
import importlib
import inspect
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import load_from_pkl, load_from_zip_file
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from gymserve.protocol import errors
from gymserve.protocol.generics import Space, Value
from gymserve.protocol.spaces import Codec, codec
from gymserve.protocol.wire import JSONObject, JSONValue
from gymserve.training.inference.client import EXPERIMENT
from gymserve.training.inference.onnx_export import export
from gymserve.training.plan.view import View
from gymserve.training.runners import vector_env
from gymserve.training.runners.folder import SPACES, Folder

MOST_OBSERVATIONS = 100_000


class NoOptimizer:
    """Replaces a model's optimizers: predictions need none, and creating one imports `torch._dynamo`, which takes a second."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def load_state_dict(self, *_: object, **__: object) -> None:
        pass


def _load(kind: type[BaseAlgorithm], file: Path) -> BaseAlgorithm:
    """Load a model for prediction only."""
    data, _, _ = load_from_zip_file(file, device="cpu")
    assert data is not None
    replaced = {}
    if "optimizer_class" in inspect.signature(data["policy_class"]).parameters:
        replaced["policy_kwargs"] = {**data["policy_kwargs"], "optimizer_class": NoOptimizer}
    return kind.load(file, device="cpu", custom_objects=replaced)


class Loaded:
    """A model in memory, with its environment.

    Args:
        folder: the folder with its plan.
        file: the model's file.
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

    def _spaces(self, file: Path) -> tuple[Space, Space]:
        """Return the spaces of observations and actions in which the model is queried."""
        if file.exists():
            return load_from_pkl(file)
        try:  # a model saved by an older version
            return vector_env.spaces_of(self.env, self.plan)
        except Exception:  # an environment that no longer exists here may raise anything
            return self.model.observation_space, self.model.action_space

    def predict(self, observations: list[object], *, deterministic: bool) -> list[JSONValue]:
        """Return an action, as JSON data, for each observation, both in the environment's spaces."""
        batch = _stacked([self.view.observation(each) for each in observations])
        if self.normal is not None:
            batch = self.normal.normalize_obs(batch)
        actions, _ = self.model.predict(batch, deterministic=deterministic)
        return [self.action(each) for each in actions]

    def action(self, chosen: Value) -> JSONValue:
        """Convert a policy's action to JSON data."""
        return self.actions.to_json(self.view.action(chosen))

    def export(self, folder: Path) -> str:
        """Write an ONNX file (see `onnx_export.export`) and return its name."""
        metadata = {"algorithm": self.plan.algorithm, "environment": self.plan.env_id}
        export(self.model, self.normal, self.view, folder / "model.onnx", metadata=metadata)
        return "model.onnx"

    @functools.cached_property
    def env(self) -> VecEnv:
        """One copy of the training environment, without normalized observations."""
        return vector_env.make(self.plan.replace(normalize=None), training=False)

    def close(self) -> None:
        """Close the environment, if it was made."""
        if "env" in vars(self):
            self.env.close()


class ModelServer:
    """Keeps models in memory and answers queries.

    Args:
        folder: the folder of all models.
        experiments: the folder of all experiments.
        most: how many models to keep in memory.
    """

    def __init__(self, folder: Path, experiments: Path, *, most: int) -> None:
        torch.set_num_threads(1)
        self.folder, self.experiments, self.most = folder, experiments, most
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()

    def answer(self, queries: list[JSONObject]) -> list[JSONObject]:
        """Return `{"answer"}` or `{"error", "message"}` for each query; predictions of one model are made in one batch."""
        answers: list[JSONObject] = [{} for _ in queries]
        batches: dict[tuple[str, bool], list[tuple[int, list[Value]]]] = {}
        for index, query in enumerate(queries):
            try:
                loaded = self._get(query["model"])
                if query["what"] == "rollout":
                    answers[index] = {"answer": _rollout(loaded, query)}
                elif query["what"] == "export":
                    answers[index] = {"answer": loaded.export(self.folder / query["model"])}
                else:
                    observations = _observations(loaded, query["observations"])
                    batches.setdefault((query["model"], query["deterministic"]), []).append((index, observations))
            except Exception as error:
                answers[index] = _refused(error)
        for (name, deterministic), parts in batches.items():
            try:
                batch = [each for _, observations in parts for each in observations]
                actions = iter(self._get(name).predict(batch, deterministic=deterministic))
                for index, observations in parts:
                    answers[index] = {"answer": [next(actions) for _ in observations]}
            except Exception as error:
                for index, _ in parts:
                    answers[index] = _refused(error)
        return answers

    def _get(self, name: str) -> Loaded:
        folder, file = self._locate(name)
        try:
            key = name if folder.parent == self.folder else f"{file} {file.stat().st_mtime_ns}"
            loaded = self._loaded.get(key) or Loaded(folder, file)
        except FileNotFoundError as error:
            raise errors.Unavailable("the checkpoint was just replaced by a newer one: try again") from error
        if key not in self._loaded:
            self._loaded[key] = loaded
            while len(self._loaded) > self.most:
                self._loaded.popitem(last=False)[1].close()
        self._loaded.move_to_end(key)
        return loaded

    def _locate(self, name: str) -> tuple[Path, Path]:
        """Return the folder and file of a model, or of what an experiment has learned so far.

        Raises:
            NotFound: there is no such model.
            Conflict: the experiment has not saved anything that can be queried.
        """
        if not name.startswith(EXPERIMENT):
            if not (self.folder / name / "model.zip").exists():
                raise errors.NotFound(f"there is no model {name}")
            return self.folder / name, self.folder / name / "model.zip"
        folder = self.experiments / name.removeprefix(EXPERIMENT)
        newest = Folder(folder).checkpoint()
        files = [each / "model.zip" for each in (folder, newest) if each and (each / "model.zip").exists()]
        if not files:
            raise errors.Conflict("the experiment has neither a model nor a checkpoint yet")
        file = files[-1] if _later(files[-1], files[0]) else files[0]
        averages = file.with_name("normalize.pkl")
        if (
            Folder(folder).training_plan().normalize is not None and not averages.exists()
        ):  # a checkpoint of an older version
            raise errors.Conflict("the experiment's running averages are saved only when it ends: stop it first")
        return folder, file


def _later(one: Path, other: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):  # reading it will fail and report that
        return one.stat().st_mtime_ns > other.stat().st_mtime_ns
    return False


def _refused(error: Exception) -> dict[str, object]:
    if isinstance(error, errors.GymserveError):
        return {"error": type(error).__name__, "message": str(error)}
    line = str(error).partition("\n")[0]
    return {
        "error": "EnvironmentFailed",
        "message": f"the model cannot be queried: {type(error).__name__}: {line:.300}",
    }


def _observations(loaded: Loaded, values: object) -> list[object]:
    if not isinstance(values, list) or not 0 < len(values) <= MOST_OBSERVATIONS:
        raise errors.InvalidRequest(f"observations must be a list of 1 to {MOST_OBSERVATIONS} observations")
    return [loaded.observations.from_json(each, name=f"observations[{index}]") for index, each in enumerate(values)]


def _stacked(observations: list[Value]) -> Value:
    if isinstance(observations[0], dict):
        return {name: np.stack([each[name] for each in observations]) for name in observations[0]}
    return np.stack(observations)


def _rollout(loaded: Loaded, query: JSONObject) -> JSONObject:
    """Let the model act in its environment, from a seed, or from an observation if the environment can start from one."""
    steps = query["steps"]
    env = loaded.env
    if query["seed"] is not None:
        env.seed(query["seed"])
    if query["observation"] is not None:
        first = loaded.observations.from_json(query["observation"], name="observation")
        env.set_options({"observation": loaded.observations.to_json(first)})
    observation: Value = env.reset()
    result: JSONObject = {"observations": [], "actions": [], "rewards": [], "done": False}
    while len(result["rewards"]) < steps and not result["done"]:
        result["observations"].append(
            loaded.observations.to_json(vector_env.observation_of(env, loaded.plan, observation))
        )
        shown = observation if loaded.normal is None else loaded.normal.normalize_obs(observation)
        action, _ = loaded.model.predict(shown, deterministic=query["deterministic"])
        observation, rewards, dones, _ = env.step(action)
        result["actions"].append(loaded.action(action[0]))
        result["rewards"].append(float(rewards[0]))
        result["done"] = bool(dones[0])
    return result
