"""Checks a plan against its environment's spaces: names what Stable-Baselines3 would reject, with the remedy."""

from collections.abc import Iterator, Mapping

import numpy as np
from gymnasium import spaces

from gymserve.protocol.errors import Untrainable
from gymserve.protocol.generics import Space
from gymserve.protocol.wire import JSONValue
from gymserve.training.plan.algorithms import LEAST_PIXELS, is_picture
from gymserve.training.plan.training_plan import TrainingPlan
from gymserve.training.plan.view import View

GOALS = ("observation", "achieved_goal", "desired_goal")
ATARI = spaces.Box(0, 255, (84, 84, 1), np.uint8)  # observations from the Atari wrapper
WARMED = 100  # the default learning_starts of off-policy algorithms


def seen(view: View, plan: TrainingPlan) -> Space:
    """Return the observation space that the policy sees before stacking; with the Atari wrapper, small grey pictures."""
    return ATARI if plan.atari else view.observation_space


def check(plan: TrainingPlan, view: View, row: Mapping[str, JSONValue]) -> None:
    """Check a plan against its environment.

    Args:
        row: the environment's catalogue row.

    Raises:
        Untrainable: something does not fit.
    """
    observations = seen(view, plan)
    for reason in (
        *_observations(observations, plan),
        *_policy(observations, plan),
        *_actions(view, plan),
        *_memory(observations, plan, row.get("max_episode_steps")),
    ):
        raise Untrainable(reason)


def _observations(space: Space, plan: TrainingPlan) -> Iterator[str]:
    parts = space.values() if isinstance(space, spaces.Dict) else [space]
    if any(0 in (part.shape or ()) for part in parts):
        yield f"the observations hold nothing: {space!s:.100}"
    unscaled = next((part for part in parts if not isinstance(part, spaces.Box)), None)
    if unscaled is not None and plan.frame_stack:
        yield f"frame_stack needs observations in a Box, or a Dict of them, not {unscaled!s:.100}: leave frame_stack out"
    norm = plan.normalize is not None and plan.normalize.get("norm_obs", True)
    if unscaled is not None and norm:
        yield (
            f"normalize: norm_obs needs observations in a Box, or a Dict of them, not {unscaled!s:.100}: "
            'normalize = {"norm_obs": false} normalises only rewards'
        )
    if norm and plan.policy.startswith("Cnn"):
        yield (
            "normalize: norm_obs turns pictures into floats, which CnnPolicy cannot read (it scales pictures itself): "
            'normalize = {"norm_obs": false} normalises only rewards'
        )


def _policy(space: Space, plan: TrainingPlan) -> Iterator[str]:
    policy, is_dict = plan.policy, isinstance(space, spaces.Dict)
    instead = "leave policy out to get one that fits"
    if policy.startswith("Cnn") and not is_picture(space):
        size = f"a uint8 Box of three axes, at least {LEAST_PIXELS} x {LEAST_PIXELS}"
        yield f"policy: {policy} needs pictures ({size}), and the observations are {space!s:.100}: {instead}"
    if policy.startswith("MultiInput") is not is_dict:
        needs = "needs a Dict of observations" if not is_dict else "cannot read a Dict of observations"
        yield f"policy: {policy} {needs}, and the observations are {space!s:.100}: {instead}"


def _actions(view: View, plan: TrainingPlan) -> Iterator[str]:
    space = view.action_space
    if not isinstance(space, spaces.Box):
        if plan.hyperparameters.get("use_sde"):
            yield f"use_sde needs continuous actions (a Box), and this environment's are {space!s:.100}: leave use_sde out"
        return
    if np.dtype(space.dtype).kind != "f":
        yield (
            f"this environment's actions are whole numbers in a Box ({space!s:.100}), and {plan.algorithm} acts with real "
            "numbers: its author can declare a MultiDiscrete or a Box of float32"
        )
    if 0 in space.shape:
        yield f"this environment's actions hold nothing: {space!s:.100}"
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        yield (
            f"this environment's actions have no finite bounds ({space!s:.100}), and {plan.algorithm} needs them: "
            "its author can declare some"
        )


def _memory(space: Space, plan: TrainingPlan, max_episode_steps: int | None) -> Iterator[str]:
    """Check the needs of replay buffers and rollouts."""
    chosen = plan.hyperparameters
    frequency = chosen.get("train_freq")
    if isinstance(frequency, list) and frequency[1] == "episode" and plan.n_envs > 1:
        yield (
            f"train_freq {frequency} counts episodes, which needs n_envs = 1, not {plan.n_envs}: "
            'use steps, for example [100, "step"], or one copy'
        )
    if chosen.get("replay_buffer_class") != "HerReplayBuffer":
        return
    if not (isinstance(space, spaces.Dict) and set(GOALS) <= set(space)):
        yield (
            f"replay_buffer_class: HerReplayBuffer needs a Dict of {', '.join(GOALS)}, and the observations are "
            f"{space!s:.100}: leave it out"
        )
    steps, starts = plan.max_episode_steps or max_episode_steps, chosen.get("learning_starts", WARMED)
    if steps is not None and starts < steps * plan.n_envs:
        yield (
            f"replay_buffer_class: HerReplayBuffer learns from whole episodes, of up to {steps} steps here, and "
            f"learning_starts is {starts}: it must be at least {steps * plan.n_envs}"
        )
    if steps is not None and chosen.get("buffer_size", steps * plan.n_envs) < steps * plan.n_envs:
        yield (
            f"buffer_size {chosen['buffer_size']} holds no whole episode, which HerReplayBuffer needs: it must be at least "
            f"{steps * plan.n_envs}"
        )
