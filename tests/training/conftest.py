"""Servers that train; what they have started is ended with the test, since it outlives them."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gymserve.training.runners import processes
from gymserve.training.runners.folder import Folder
from tests.servers import Server, children, wait_for

AT_REST = ("created", "paused", "completed", "failed", "stopped")
QUICK = {"evaluation": {"episodes": 1}, "tensorboard": False}


class Trainer(Server):
    """A server, and what a user does with experiments."""

    def experiment(self, **asked: Any) -> str:
        """A new experiment's id; it is quick to end unless told otherwise."""
        given = {"name": "test", "algorithm": "PPO", "environment": "CartPole-v1", "total_timesteps": 2000, **QUICK}
        made = self.post("/experiments", {**given, **asked})
        assert made.status == 201, made.body
        return str(made.json["id"])

    def started(self, **asked: Any) -> str:
        name = self.experiment(**asked)
        answer = self.post(f"/experiments/{name}/train")
        assert answer.status == 200, answer.body
        return name

    def show(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/experiments/{name}").json
        return found

    def until(self, name: str, *states: str, seconds: float = 120.0) -> dict[str, Any]:
        """The experiment as soon as it is in one of these states."""

        def there() -> dict[str, Any] | None:
            row = self.show(name)
            if row["status"] in ("failed", "stopped") and row["status"] not in states:
                raise AssertionError((row, self.folder(name).log.read_text()))
            return row if row["status"] in states else None

        found: dict[str, Any] = wait_for(there, seconds)
        return found

    def until_steps(self, name: str, timesteps: int) -> dict[str, Any]:
        """The experiment as soon as it has come so far."""
        found: dict[str, Any] = wait_for(
            lambda: ((row := self.show(name))["timesteps"] >= timesteps and row) or self._not_failed(row), 120
        )
        return found

    def _not_failed(self, row: dict[str, Any]) -> None:
        assert row["status"] in ("queued", "running"), (row, self.folder(row["id"]).log.read_text())

    def folder(self, name: str) -> Folder:
        return Folder(self.data / "experiments" / name)

    def leader(self, name: str) -> int:
        """The process id of a running experiment."""
        found = wait_for(lambda: self.folder(name).process())
        return int(found.pid)

    def scheduler(self) -> int | None:
        """The process id of the scheduler, if it runs."""
        for worker in self.workers():
            for pid in children(worker):
                with contextlib.suppress(OSError):
                    if b"gymserve.training.scheduler" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        return pid
        return None

    def end_experiments(self) -> None:
        for path in (self.data / "experiments").glob("*"):
            process = Folder(path).process()
            if process is not None:
                wait_for(lambda process=process: processes.sweep(process))


@pytest.fixture
def train(tmp_path: Path) -> Iterator[Callable[..., Trainer]]:
    """Starts servers that train, with settings by name."""
    servers: list[Trainer] = []

    def started(**settings: Any) -> Trainer:
        servers.append(Trainer(tmp_path / f"data{len(servers)}", **settings))
        return servers[-1]

    yield started
    for each in servers:
        each.stop()
        each.end_experiments()


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainer]:
    """One server that trains, for a module's tests."""
    started = Trainer(tmp_path_factory.mktemp("trainer"))
    yield started
    started.stop()
    started.end_experiments()
