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
from gymserve.journal import replay
from gymserve.protocol.errors import InvalidRequest
from gymserve.training.plan.training_plan import TrainingPlan
from gymserve.training.plan.view import View
from gymserve.training.runners.best_episode import BestEpisode
from gymserve.training.runners.blank import Blank

REMOTE = "client:remote/Any-v0"


class Episode(gymnasium.Wrapper):
    """Remembers how the current episode came about, so that another process can bring it to the same moment.

    It is replayed and compared: an environment that does not repeat itself is found out.
    """

    def __init__(self, env: gymnasium.Env, given: tuple[spaces.Space[Any], spaces.Space[Any]]) -> None:
        super().__init__(env)
        self.given = given  # the spaces of the bare environment
        self._start: dict[str, Any] = {}
        self._actions: list[Any] = []
        self._last: Any = None
        self._finished: dict[str, Any] | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        state = self.unwrapped.np_random.bit_generator.state if seed is None and self._local() else None
        if self._actions:
            self._finished = {**self._start, "actions": self._actions}
        self._start, self._actions = {"seed": seed, "random": state, "options": options}, []
        self._last, info = replay.reset(self.env, seed, options, None)
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


class Seen(gymnasium.Wrapper):
    """An environment as a policy sees it.

    Attributes:
        raw: the newest observation as the environment gave it.
    """

    def __init__(self, env: gymnasium.Env, view: View) -> None:
        super().__init__(env)
        self.view, self.raw = view, None
        self.observation_space, self.action_space = view.observation_space, view.action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.raw, info = self.env.reset(seed=seed, options=options)
        return self.view.observation(self.raw), info

    def step(self, action: Any) -> Any:
        self.raw, reward, terminated, truncated, info = self.env.step(self.view.action(action))
        return self.view.observation(self.raw), reward, terminated, truncated, info


def make(plan: TrainingPlan, *, training: bool, taken: bool = False) -> VecEnv:
    """The vector environment that a plan asks for; the evaluation's is one copy whose rewards are as they are.

    Args:
        taken: its copies remember their best episode, see `best_episode.BestEpisode`, where it can be shown.
    """
    environments.register()
    for module in plan.modules:
        importlib.import_module(module)
    number = plan.n_envs if training else 1
    parallel = training and number > 1 and plan.vectorisation == "async"
    copies = [lambda: _one(plan, taken=taken)] * number
    return _stacked(SubprocVecEnv(copies, start_method="fork") if parallel else DummyVecEnv(copies), plan, training)


def around(env: gymnasium.Env, plan: TrainingPlan) -> VecEnv:
    """One copy of `env`, as a model that was trained by the plan sees environments, but for averages."""
    return _stacked(DummyVecEnv([lambda: _dressed(env, plan)]), plan.replace(normalize=None), False)


def blank(observations: spaces.Space[Any], actions: spaces.Space[Any], plan: TrainingPlan) -> VecEnv:
    """The vector environment of a plan's training, made of its spaces alone."""
    copies = [lambda: _dressed(Blank(observations, actions), plan)] * plan.n_envs
    return _stacked(DummyVecEnv(copies), plan, True)


def _stacked(env: VecEnv, plan: TrainingPlan, training: bool) -> VecEnv:
    if plan.frame_stack:
        env = VecFrameStack(env, plan.frame_stack)
    if plan.normalize is not None:
        given = {**plan.normalize, "gamma": plan.gamma}
        if not training:
            given |= {"training": False, "norm_reward": False}
        env = VecNormalize(env, **given)
    return env


def spaces_of(env: VecEnv, plan: TrainingPlan) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
    """Those in which a model of the plan is asked: the environment's own, but for stacked and Atari's observations."""
    observations, actions = env.get_attr("given", 0)[0]
    return env.observation_space if plan.frame_stack or plan.atari else observations, actions


def given_by(env: VecEnv, plan: TrainingPlan, batch: Any) -> Any:
    """The newest observation of one copy, of the space in which a model of the plan is asked.

    Args:
        batch: what the copy's last reset or step gave.
    """
    if env.env_is_wrapped(Seen)[0] and not (plan.frame_stack or plan.atari):
        return env.get_attr("raw")[0]
    return {name: part[0] for name, part in batch.items()} if isinstance(batch, dict) else batch[0]


def _one(plan: TrainingPlan, *, taken: bool) -> gymnasium.Env:
    given = dict(plan.env_kwargs)
    if plan.max_episode_steps:
        given["max_episode_steps"] = plan.max_episode_steps
    if plan.server:  # whose address and key are in the process' environment variables
        env = gymnasium.make(REMOTE, env_id=plan.env_id, **given)
    else:
        env = gymnasium.make(plan.env_id, disable_env_checker=True, **given)
    if taken and not plan.server:
        with contextlib.suppress(InvalidRequest):  # its spaces are of kinds that no journal holds
            env = BestEpisode(env)
    return _dressed(env, plan)


def _dressed(env: gymnasium.Env, plan: TrainingPlan) -> gymnasium.Env:
    view = View(env.observation_space, env.action_space)
    if not view.is_plain:
        env = Seen(env, view)
    if plan.atari:
        env = AtariWrapper(env)
    return Episode(Monitor(env), view.given)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return bool(numpy.array_equal(one, other, equal_nan=numpy.asarray(one).dtype.kind == "f"))
