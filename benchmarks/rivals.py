"""Other ways to step an environment in another process."""

import os
from collections.abc import Callable

import gymnasium
import numpy as np


def ray_actor(cpu: int) -> tuple[Callable[[int], bool], Callable[[], object]]:
    """CartPole in a Ray actor on this machine."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if not ray.is_initialized():
        ray.init(num_cpus=1, include_dashboard=False, logging_level="error", _node_ip_address="127.0.0.1")

    @ray.remote(num_cpus=0)
    class Actor:
        def __init__(self) -> None:
            os.sched_setaffinity(0, {cpu})
            self.env = gymnasium.make("CartPole-v1", disable_env_checker=True)

        def reset(self) -> object:
            return self.env.reset()

        def step(self, action: int) -> object:
            return self.env.step(action)

    actor = Actor.remote()

    def reset() -> object:
        return ray.get(actor.reset.remote())

    def ask(action: int) -> bool:
        _, _, terminated, truncated, _ = ray.get(actor.step.remote(action))
        return bool(terminated or truncated)

    reset()
    return ask, reset


def async_vector(num_envs: int) -> tuple[Callable[[int], bool], Callable[[], object]]:
    """Gymnasium's own processes, one an environment."""
    envs = gymnasium.make_vec("CartPole-v1", num_envs, "async")
    envs.reset(seed=0)
    actions = [np.zeros(num_envs, int), np.ones(num_envs, int)]

    def ask(action: int) -> bool:
        envs.step(actions[action])
        return False

    return ask, envs.close
