"""Servers with faulty environments, and requests to them, for tests."""

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Any

from tests.support.servers import Server

Start = Callable[..., Server]


FAULTY = {
    "ENVIRONMENT_MODULES": ["tests.support.environments.faulty", "tests.support.environments.unmakable"],
    "SHARED_ENVIRONMENTS": [
        "SharedSleepy-v0",
        "SharedFaulty-v0",
        "SharedForgetful-v0",
        "SharedCarrying-v0",
        "SharedClinging-v0",
    ],
    "ENVIRONMENT_KWARGS": {"Counting-v0": ["file"]},
    "SHARED_HOSTS": 1,
}


def kill_hosts(server: Server) -> None:
    for pid in server.hosts():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def step(server: Server, token: str, action: Any, **more: Any) -> Any:
    return server.post(f"/v1/envs/{token}/step/", {"action": action, **more})


def reset(server: Server, token: str, **more: Any) -> Any:
    return server.post(f"/v1/envs/{token}/reset/", more)
