"""Environments for Stable-Baselines3: made from the catalogue, or remotely through the client."""

import contextlib
import importlib
from typing import SupportsFloat

import gymnasium
import numpy
from stable_baselines3.common.atari_wrappers import AtariWrapper
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecFrameStack, VecNormalize

from gymserve import environments
from gymserve.journal import replay
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.generics import Space, Value
from gymserve.protocol.wire import JSONObject
from gymserve.training.plan.training_plan import TrainingPlan
from gymserve.training.plan.view import View
from gymserve.training.runners.best_episode import BestEpisode
from gymserve.training.runners.blank import Blank

REMOTE = "gymserve.client:remote/Any-v0"


class EpisodeRecorder(gymnasium.Wrapper):
    """A wrapper that records the current episode's seed and actions, so that another process can restore it by replay.

    The replay is compared with the recording, so a nondeterministic environment is detected.
    """

    def __init__(self, env: gymnasium.Env, bare_spaces: tuple[Space, Space]) -> None:
        super().__init__(env)
        self.bare_spaces = bare_spaces  # of observations and actions
        self._start: dict[str, object] = {}
        self._actions: list[object] = []
        self._last: object = None
        self._finished: JSONObject | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[Value, dict[str, object]]:
        state = self.unwrapped.np_random.bit_generator.state if seed is None and self._local() else None
        if self._actions:
            self._finished = {**self._start, "actions": self._actions}
        self._start, self._actions = {"seed": seed, "random": state, "options": options}, []
        self._last, info = replay.reset(self.env, seed, options, None)
        return self._last, info

    def step(self, action: Value) -> tuple[Value, SupportsFloat, bool, bool, dict[str, object]]:
        self._actions.append(action.copy() if isinstance(action, numpy.ndarray) else action)
        answer = self.env.step(action)
        self._last = answer[0]
        return answer

    def _local(self) -> bool:
        return getattr(self.unwrapped, "_np_random", None) is not None

    def snapshot(self) -> JSONObject:
        """Return everything that `restore` needs."""
        return {**self._start, "actions": self._actions, "last": self._last}

    def finished(self) -> dict[str, object]:
        """Return the last finished episode's start and actions as plain data; an empty dict if there is none."""
        if self._finished is None:
            return {}
        return {**self._finished, "actions": [numpy.asarray(action).tolist() for action in self._finished["actions"]]}

    def restore(self, snapshot: JSONObject) -> bool:
        """Bring the environment to the state of a snapshot; return False if the environment is nondeterministic."""
        if snapshot["seed"] is None and snapshot["random"] is None:
            return False
        if snapshot["random"] is not None:
            self.env.reset(seed=0)  # some environments create their generator in a reset
            self.unwrapped.np_random.bit_generator.state = snapshot["random"]
        self.reset(seed=snapshot["seed"], options=snapshot["options"])
        self._start = {name: snapshot[name] for name in ("seed", "random", "options")}
        for action in snapshot["actions"]:
            if any(self.step(action)[2:4]):
                return False
        return _equal(self._last, snapshot["last"])


class ViewWrapper(gymnasium.Wrapper):
    """An environment as a policy sees it.

    Attributes:
        raw: the environment's newest observation.
    """

    def __init__(self, env: gymnasium.Env, view: View) -> None:
        super().__init__(env)
        self.view, self.raw = view, None
        self.observation_space, self.action_space = view.observation_space, view.action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[Value, dict[str, object]]:
        self.raw, info = self.env.reset(seed=seed, options=options)
        return self.view.observation(self.raw), info

    def step(self, action: Value) -> tuple[Value, SupportsFloat, bool, bool, dict[str, object]]:
        self.raw, reward, terminated, truncated, info = self.env.step(self.view.action(action))
        return self.view.observation(self.raw), reward, terminated, truncated, info


def make(plan: TrainingPlan, *, training: bool, records_best: bool = False) -> VecEnv:
    """Make a plan's vector environment; for evaluations it is one copy with the original rewards.

    Args:
        records_best: record the best episode (see `BestEpisode`), if the environment's spaces allow that.
    """
    environments.register()
    for module in plan.modules:
        importlib.import_module(module)
    number = plan.n_envs if training else 1
    parallel = training and number > 1 and plan.vectorisation == "async"
    copies = [lambda: _one(plan, records_best=records_best)] * number
    return _stacked(SubprocVecEnv(copies, start_method="fork") if parallel else DummyVecEnv(copies), plan, training)


def around(env: gymnasium.Env, plan: TrainingPlan) -> VecEnv:
    """Wrap `env` as one copy of the environment that a model of this plan was trained in, without averages."""
    return _stacked(DummyVecEnv([lambda: _dressed(env, plan)]), plan.replace(normalize=None), False)


def blank(observations: Space, actions: Space, plan: TrainingPlan) -> VecEnv:
    """Make a plan's training environment from its spaces alone."""
    copies = [lambda: _dressed(Blank(observations, actions), plan)] * plan.n_envs
    return _stacked(DummyVecEnv(copies), plan, True)


def _stacked(env: VecEnv, plan: TrainingPlan, training: bool) -> VecEnv:
    if plan.frame_stack:
        env = VecFrameStack(env, plan.frame_stack)
    if plan.normalize is not None:
        arguments = {**plan.normalize, "gamma": plan.gamma}
        if not training:
            arguments |= {"training": False, "norm_reward": False}
        env = VecNormalize(env, **arguments)
    return env


def spaces_of(env: VecEnv, plan: TrainingPlan) -> tuple[Space, Space]:
    """Return the spaces in which a model of the plan is queried.

    They are the environment's own, unless observations are stacked or come from the Atari wrapper.
    """
    observations, actions = env.get_attr("bare_spaces", 0)[0]
    return env.observation_space if plan.frame_stack or plan.atari else observations, actions


def observation_of(env: VecEnv, plan: TrainingPlan, batch: Value) -> Value:
    """Return one copy's newest observation, in the space in which a model of the plan is queried.

    Args:
        batch: the result of the copy's last reset or step.
    """
    if env.env_is_wrapped(ViewWrapper)[0] and not (plan.frame_stack or plan.atari):
        return env.get_attr("raw")[0]
    return {name: part[0] for name, part in batch.items()} if isinstance(batch, dict) else batch[0]


def _one(plan: TrainingPlan, *, records_best: bool) -> gymnasium.Env:
    arguments = dict(plan.env_kwargs)
    if plan.max_episode_steps:
        arguments["max_episode_steps"] = plan.max_episode_steps
    if plan.server:  # its address and key are in environment variables
        env = gymnasium.make(REMOTE, env_id=plan.env_id, **arguments)
    else:
        env = gymnasium.make(plan.env_id, disable_env_checker=True, **arguments)
    if records_best and not plan.server:
        with contextlib.suppress(InvalidRequest):  # a journal cannot hold such spaces
            env = BestEpisode(env)
    return _dressed(env, plan)


def _dressed(env: gymnasium.Env, plan: TrainingPlan) -> gymnasium.Env:
    view = View(env.observation_space, env.action_space)
    if not view.is_plain:
        env = ViewWrapper(env, view)
    if plan.atari:
        env = AtariWrapper(env)
    return EpisodeRecorder(Monitor(env), view.bare_spaces)


def _equal(one: Value, other: Value) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return bool(numpy.array_equal(one, other, equal_nan=numpy.asarray(one).dtype.kind == "f"))
