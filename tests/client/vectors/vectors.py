"""Vector environments for the tests of this folder, on the client tests' server and in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from gymserve import client

MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP]


def remote(env_id: str, num_envs: int = 3, **options: Any) -> client.AsyncRemoteVectorEnv:
    return client.make_vec(env_id, num_envs, vectorization_mode="async", **options)


def local(env_id: str, num_envs: int, mode: AutoresetMode) -> SyncVectorEnv:
    return SyncVectorEnv([lambda: gymnasium.make(env_id)] * num_envs, autoreset_mode=mode)


def gated(folder: Path, num_envs: int = 3, **options: Any) -> client.AsyncRemoteVectorEnv:
    env = remote("Gated-v0", num_envs, folder=str(folder), **options)
    env.reset(seed=0)
    return env


def counts(answer: Any) -> list[float]:
    """The numbers of steps that the copies have made, by their observations."""
    return [float(count) for count in answer[0][:, 0]]


def is_waiting(folder: Path) -> Callable[[], bool]:
    return lambda: (folder / "waits").exists() and (folder / "waits").read_text() != ""
