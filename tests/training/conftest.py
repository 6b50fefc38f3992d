"""Servers that train; the experiments that they started outlive them, and are ended with the test."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gymserve.system import interpreters
from gymserve.training.runners import processes
from gymserve.training.runners.folder import Folder
from gymserve.training.runners.warm import Warm
from tests.support.buckets import Moto
from tests.support.servers import Server, children, wait_for

AT_REST = ("created", "paused", "completed", "failed", "stopped")
QUICK = {"evaluation": {"episodes": 1}, "tensorboard": False}
POLE = "<pole>"  # the name of the experiment that tests share


class Trainer(Server):
    """A server, and what a user does with experiments."""

    def experiment(self, **settings: Any) -> str:
        """Create an experiment and return its id; by default it ends quickly."""
        defaults = {"name": "test", "algorithm": "PPO", "environment": "CartPole-v1", "total_timesteps": 2000, **QUICK}
        made = self.post("/experiments", {**defaults, **settings})
        assert made.status == 201, made.body
        return str(made.json["id"])

    def started(self, **settings: Any) -> str:
        name = self.experiment(**settings)
        answer = self.post(f"/experiments/{name}/train")
        assert answer.status == 200, answer.body
        return name

    def show(self, name: str) -> dict[str, Any]:
        row: dict[str, Any] = self.get(f"/experiments/{name}").json
        return row

    def until(self, name: str, *states: str, seconds: float = 300.0) -> dict[str, Any]:
        """Wait until the experiment is in one of these states, and return it."""

        def there() -> dict[str, Any] | None:
            row = self.show(name)
            if row["status"] in ("failed", "stopped") and row["status"] not in states:
                raise AssertionError((row, self.folder(name).log.read_text()))
            return row if row["status"] in states else None

        reached: dict[str, Any] = wait_for(there, seconds)
        return reached

    def until_steps(self, name: str, timesteps: int) -> dict[str, Any]:
        """Wait until the experiment has trained this many timesteps, and return it."""

        def there() -> dict[str, Any] | None:
            row = self.show(name)
            if row["timesteps"] >= timesteps:
                return row
            assert row["status"] in ("queued", "running"), (row, self.folder(row["id"]).log.read_text())
            return None

        reached: dict[str, Any] = wait_for(there, 300)
        return reached

    def folder(self, name: str) -> Folder:
        return Folder(self.data / "experiments" / name)

    def leader(self, name: str) -> int:
        """Return the process id of a running experiment."""
        process = wait_for(lambda: self.folder(name).process())
        return int(process.pid)

    def scheduler(self) -> int | None:
        """Return the process id of the scheduler if it is running."""
        for worker in self.workers():
            for pid in children(worker):
                with contextlib.suppress(OSError):
                    if b"gymserve.training.scheduling.scheduler" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        return pid
        return None

    def end_experiments(self) -> None:
        for path in (self.data / "experiments").glob("*"):
            process = Folder(path).process()
            if process is not None:
                wait_for(lambda process=process: processes.sweep(process))


@pytest.fixture
def train(tmp_path: Path) -> Iterator[Callable[..., Trainer]]:
    """Start servers that train, with settings by name."""
    servers: list[Trainer] = []

    def started(**settings: Any) -> Trainer:
        servers.append(Trainer(tmp_path / f"data{len(servers)}", **settings))
        return servers[-1]

    yield started
    for each in servers:
        each.stop()
        each.end_experiments()


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """The process from which runs without a server are forked."""
    started = Warm(interpreters.variables({"SECRET_OF_THE_SERVER": "1"}))
    wait_for(started.is_settled)
    assert started.is_alive()
    yield started
    started.close()


class AwayBucket(Moto):
    """A bucket with a known address that is down until `arrive` is called."""

    def start(self) -> None:
        """Do nothing: a server may need the settings before a test needs the bucket."""

    def arrive(self) -> None:
        super().start()

    def leave(self) -> None:
        super().stop()

    def stop(self) -> None:
        if hasattr(self, "process") and self.process.poll() is None:
            super().stop()


@pytest.fixture(scope="session")
def bucket() -> Iterator[AwayBucket]:
    """The bucket of `trainer`."""
    moto = AwayBucket()
    yield moto
    moto.stop()


@pytest.fixture(scope="session")
def trainer(tmp_path_factory: pytest.TempPathFactory, bucket: AwayBucket) -> Iterator[Trainer]:
    """An open server that trains, for all tests of this folder that need no settings of their own."""
    modules = ["tests.training.environments.troubled"]
    started = Trainer(tmp_path_factory.mktemp("trainer"), ENVIRONMENT_MODULES=modules, **bucket.settings)
    yield started
    started.stop()
    started.end_experiments()


@pytest.fixture(scope="session")
def experiment(trainer: Trainer) -> str:
    """A completed experiment that no test changes."""
    shared = {"name": POLE, "normalize": True, "hyperparameters": {"n_steps": 128}, "seed": 1}
    name = trainer.started(**shared, total_timesteps=2048)
    trainer.until(name, "completed")
    return name


@pytest.fixture(scope="session")
def model(trainer: Trainer, experiment: str) -> str:
    """That experiment's model, which no test changes."""
    made = trainer.post("/models/", {"experiment_id": experiment})
    assert made.status == 201, made.body
    return str(made.json["id"])


@pytest.fixture(scope="session")
def other_seed(trainer: Trainer, experiment: str) -> str:
    """The same experiment with another seed, also completed."""
    name = str(trainer.post(f"/experiments/{experiment}/copy", {"seed": 2}).json["id"])
    trainer.post(f"/experiments/{name}/train")
    trainer.until(name, "completed")
    return name
