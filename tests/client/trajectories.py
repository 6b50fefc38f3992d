"""Plays the same episode in two environments, to see that they are the same."""

from typing import Any

import numpy as np


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, down to the dtypes of arrays."""
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        if one.dtype == object:
            return one.shape == other.shape and all(map(same, one, other))
        return one.dtype == other.dtype and np.array_equal(one, other)
    if hasattr(one, "numpy"):  # PyTorch's tensors
        return type(one) is type(other) and same(one.numpy(), other.numpy())
    return bool(one == other)


def play(env: Any, actions: list[Any], *, seed: int = 7) -> list[Any]:
    """Everything that `env` returns; when an episode ends, another begins."""
    answers: list[Any] = [env.reset(seed=seed)]
    for action in actions:
        answers.append(env.step(action))
        if np.ndim(answers[-1][2]) == 0 and (answers[-1][2] or answers[-1][3]):
            answers.append(env.reset())
    return answers


def actions_for(env: Any, count: int) -> list[Any]:
    env.action_space.seed(3)
    return [env.action_space.sample() for _ in range(count)]
