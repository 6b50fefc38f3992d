"""Graded instances in a running server, for tests."""

import contextlib
import os
import signal
from typing import Any

from gymserve.hosts.pool.instances import Instances
from gymserve.journal import read
from gymserve.settings import Settings
from tests.support.servers import Answer, Server

FAULTY = {"ENVIRONMENT_MODULES": ["tests.support.environments.faulty"], "SHARED_ENVIRONMENTS": ["Telltale-v0"]}


SEEDS = [2**62 + 123456789 * k for k in range(1, 4)]


PLAN: list[dict[str, object]] = [{"seed": seed, "options": None, "kwargs": {}} for seed in SEEDS]


class Grader:
    """Creates graded instances in a running server, as the grader does, and steps them as an agent."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.instances = Instances.of(Settings(DATA=str(server.data), **FAULTY))

    def create(self, env_id: str = "CartPole-v1", trials: list[dict[str, Any]] = PLAN, **options: Any) -> str:
        return self.instances.create(env_id, trials=trials, **options)

    def reset(self, token: str, **more: Any) -> Answer:
        return self.server.post(f"/v1/envs/{token}/reset/", more)

    def step(self, token: str, action: int = 0, **more: Any) -> Answer:
        return self.server.post(f"/v1/envs/{token}/step/", {"action": action, **more})

    def play(self, token: str) -> int:
        """Steps until the trial is done; returns the number of steps."""
        for steps in range(1, 1000):
            if self.step(token, steps % 2).json["done"]:
                return steps
        raise AssertionError("the trial does not end")

    def records(self, token: str) -> list[Any]:
        folder = self.server.data / "instances" / token
        return list(read((folder if folder.exists() else self.server.data / "closed" / token) / "journal"))

    def describe(self, token: str) -> dict[str, Any]:
        return dict(self.server.get(f"/v1/envs/{token}/").json)

    def leave(self) -> None:
        """Closes the connections to the server's processes."""
        self.instances.pool.supervisor.forget()
        for connections in self.instances.pool._idle.values():
            for connection in connections:
                connection.close()

    def kill_hosts(self) -> None:
        for pid in self.server.hosts():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
