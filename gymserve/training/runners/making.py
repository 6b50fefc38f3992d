"""Environments for Stable-Baselines3: made from the catalogue, or on another server through the client."""

import contextlib
import importlib
from typing import Any

import gymnasium
import numpy
from gymnasium import spaces
from stable_baselines3.common.atari_wrappers import AtariWrapper
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecFrameStack, VecNormalize

from gymserve import environments
from gymserve.errors import InvalidRequest
from gymserve.training.runners.taking import Take

REMOTE = "client:remote/Any-v0"


class Episode(gymnasium.Wrapper):
    """Remembers how the current episode came about, so that another process can bring it to the same moment.

    It is replayed and compared: an environment that does not repeat itself is found out.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self._start: dict[str, Any] = {}
        self._actions: list[Any] = []
        self._last: Any = None
        self._finished: dict[str, Any] | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        state = self.unwrapped.np_random.bit_generator.state if seed is None and self._local() else None
        if self._actions:
            self._finished = {**self._start, "actions": self._actions}
        self._start, self._actions = {"seed": seed, "random": state, "options": options}, []
        self._last, info = self.env.reset(seed=seed, options=options)
        return self._last, info

    def step(self, action: Any) -> Any:
        self._actions.append(action.copy() if isinstance(action, numpy.ndarray) else action)
        answer = self.env.step(action)
        self._last = answer[0]
        return answer

    def _local(self) -> bool:
        return getattr(self.unwrapped, "_np_random", None) is not None

    def snapshot(self) -> dict[str, Any]:
        """All that `restore` needs."""
        return {**self._start, "actions": self._actions, "last": self._last}

    def finished(self) -> dict[str, Any]:
        """How the last episode that has ended came about, as plain data; empty: none has."""
        if self._finished is None:
            return {}
        return {**self._finished, "actions": [numpy.asarray(action).tolist() for action in self._finished["actions"]]}

    def restore(self, told: dict[str, Any]) -> bool:
        """Brings the environment to where the snapshot was taken; False: it does not repeat itself."""
        if told["seed"] is None and told["random"] is None:
            return False
        if told["random"] is not None:
            self.env.reset(seed=0)  # for those that make their generator in a reset
            self.unwrapped.np_random.bit_generator.state = told["random"]
        self.reset(seed=told["seed"], options=told["options"])
        self._start = {name: told[name] for name in ("seed", "random", "options")}
        for action in told["actions"]:
            if any(self.step(action)[2:4]):
                return False
        return _equal(self._last, told["last"])


class Flattened(gymnasium.ObservationWrapper):
    """Reads observations of a kind that the library does not know as a flat array."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.observation_space = spaces.flatten_space(env.observation_space)

    def observation(self, observation: Any) -> Any:
        return spaces.flatten(self.env.observation_space, observation)


def make(order: dict[str, Any], *, training: bool, taken: bool = False) -> VecEnv:
    """The vector environment that an order asks for; the evaluation's is one copy whose rewards are as they are.

    Args:
        taken: its copies remember their best episode, see `taking.Take`, where it can be shown.
    """
    environments.register()
    for module in order.get("modules", ()):
        importlib.import_module(module)
    number = order["n_envs"] if training else 1
    parallel = training and number > 1 and order.get("vectorisation") == "async"
    copies = [lambda: _one(order, taken=taken)] * number
    env: VecEnv = SubprocVecEnv(copies, start_method="fork") if parallel else DummyVecEnv(copies)
    if order.get("frame_stack"):
        env = VecFrameStack(env, order["frame_stack"])
    if order.get("normalize") is not None:
        given = {**order["normalize"], "gamma": order["hyperparameters"].get("gamma", 0.99)}
        if not training:
            given |= {"training": False, "norm_reward": False}
        env = VecNormalize(env, **given)
    return env


def _one(order: dict[str, Any], *, taken: bool) -> gymnasium.Env:
    given = dict(order.get("env_kwargs") or {})
    if order.get("max_episode_steps"):
        given["max_episode_steps"] = order["max_episode_steps"]
    if order.get("server"):  # whose address and key are in the process' environment variables
        env = gymnasium.make(REMOTE, env_id=order["environment"], **given)
    else:
        env = gymnasium.make(order["environment"], disable_env_checker=True, **given)
    if taken and not order.get("server"):
        with contextlib.suppress(InvalidRequest):  # its spaces are of kinds that no journal holds
            env = Take(env)
    return _dressed(env, order)


def around(env: gymnasium.Env, order: dict[str, Any]) -> VecEnv:
    """One copy of `env`, as a model that was trained by the order sees environments, but for averages."""
    dressed: VecEnv = DummyVecEnv([lambda: _dressed(env, order)])
    return VecFrameStack(dressed, order["frame_stack"]) if order.get("frame_stack") else dressed


def _dressed(env: gymnasium.Env, order: dict[str, Any]) -> gymnasium.Env:
    if not _readable(env.observation_space):
        env = Flattened(env)
    if order.get("atari"):
        env = AtariWrapper(env)
    return Episode(Monitor(env))


def _readable(space: Any) -> bool:
    flat = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
    if isinstance(space, spaces.Dict):
        return all(isinstance(part, flat) for part in space.values())
    return isinstance(space, flat)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return bool(numpy.array_equal(one, other, equal_nan=numpy.asarray(one).dtype.kind == "f"))
