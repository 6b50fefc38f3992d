"""Experiments, the scheduler or the whole server are paused, stopped, killed, or exceed their limits."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from gymserve.training.runners import processes
from tests.support.servers import alive, wait_for
from tests.training.conftest import Trainer

LONG = {"total_timesteps": 10**9, "hyperparameters": {"n_steps": 256}, "checkpoint_every": 512}
SHORT = {"total_timesteps": 2048, "hyperparameters": {"n_steps": 256}, "checkpoint_every": 512}
Start = Callable[..., Trainer]


def group(leader: int) -> list[int]:
    """The live processes of a group."""
    return [each.pid for each in processes.members(leader)]


def curve(server: Trainer, name: str) -> list[dict[str, Any]]:
    points = server.get(f"/experiments/{name}/metrics").json["metrics"]
    return [{key: value for key, value in each.items() if key != "time/fps"} for each in points]


@pytest.fixture(scope="module")
def reference(trainer: Trainer) -> list[dict[str, Any]]:
    """The curve of an undisturbed SHORT run."""
    name = trainer.started(**SHORT)
    trainer.until(name, "completed")
    return curve(trainer, name)


@pytest.mark.guarantee("an experiment is stopped")
def test_a_stopped_experiment_is_dead_before_it_says_so(trainer: Trainer) -> None:
    name = trainer.started(**LONG, n_envs=2, vectorisation="async")
    trainer.until_steps(name, 1000)
    leader = trainer.leader(name)
    assert len(group(leader)) >= 3  # the runner and its two environments
    stopped = trainer.post(f"/experiments/{name}/stop").json
    assert (stopped["status"], stopped["exit_code"]) == ("stopped", 0)
    assert not alive(leader) and group(leader) == []
    assert trainer.get(f"/experiments/{name}/results").json["model_path"]  # the model at its last checkpoint


@pytest.mark.long
def test_a_stopped_experiment_is_resumed(trainer: Trainer) -> None:
    name = trainer.started(**LONG)
    trainer.until_steps(name, 500)
    stopped = trainer.post(f"/experiments/{name}/stop").json
    assert trainer.post(f"/experiments/{name}/resume").status == 200
    trainer.until_steps(name, stopped["timesteps"] + 1000)
    assert trainer.post(f"/experiments/{name}/stop").json["status"] == "stopped"


def kill_server(trainer: Trainer) -> None:
    trainer.kill()
    trainer.start()


def stop_server(trainer: Trainer) -> None:
    assert trainer.stop() == 0
    trainer.start()


def kill_schedulers(trainer: Trainer) -> None:
    for _ in range(5):
        scheduler = wait_for(trainer.scheduler)
        os.kill(scheduler, signal.SIGKILL)
        wait_for(lambda pid=scheduler: not alive(pid))


@pytest.mark.guarantee("the scheduler, or the whole server, is killed")
@pytest.mark.guarantee("one experiment's folder is damaged")
@pytest.mark.parametrize(
    "end", [kill_server, *(pytest.param(end, marks=pytest.mark.long) for end in (stop_server, kill_schedulers))]
)
def test_experiments_continue_without_their_server_and_despite_a_damaged_folder(
    trainer: Trainer, reference: list[dict[str, Any]], end: Callable[[Trainer], None]
) -> None:
    damaged = trainer.started(**LONG)
    trainer.until_steps(damaged, 1)
    name = trainer.started(**SHORT)
    leader = trainer.leader(damaged)
    (trainer.folder(damaged).path / "plan.json").write_text("{")  # the next scheduler reads this file
    end(trainer)
    assert alive(leader) and trainer.leader(damaged) == leader
    trainer.until(name, "completed")
    assert curve(trainer, name) == reference
    assert trainer.show(damaged)["status"] == "running"
    assert trainer.post(f"/experiments/{damaged}/stop").json["status"] == "stopped" and not alive(leader)


@pytest.mark.guarantee("an experiment's process is killed")
def test_a_killed_experiment_resumes_from_its_checkpoint_with_the_same_curve(
    trainer: Trainer, reference: list[dict[str, Any]]
) -> None:
    name = trainer.started(**SHORT)
    wait_for(trainer.folder(name).checkpoint, 300)
    os.kill(trainer.leader(name), signal.SIGKILL)
    trainer.until(name, "completed")
    assert curve(trainer, name) == reference


@pytest.mark.guarantee("an experiment's process is killed")
def test_an_experiment_that_is_killed_again_and_again_fails_with_the_reason(trainer: Trainer) -> None:
    name = trainer.started(**LONG)
    seen: set[int] = set()

    def ended() -> dict[str, Any] | None:
        process = trainer.folder(name).process()
        if process is not None and process.pid not in seen and process.is_there():
            seen.add(process.pid)
            os.kill(process.pid, signal.SIGKILL)
        row = trainer.show(name)
        return None if row["status"] in ("queued", "running") else row

    row = wait_for(ended, 300)
    assert (row["status"], row["reason"]) == ("failed", "its process was killed 3 times (last by signal 9)")
    assert len(seen) == 3


@pytest.mark.long
def test_memory_is_limited(train: Start) -> None:
    server = train(EXPERIMENT_MEMORY_MB=1000, ENVIRONMENT_MODULES=["tests.training.environments.troubled"])
    row = server.until(server.started(**LONG, environment="Hungry-v0"), "failed")
    assert row["reason"] == "it used more than EXPERIMENT_MEMORY_MB = 1000 MB"


@pytest.mark.long
def test_disk_space_is_limited(train: Start) -> None:
    server = train(EXPERIMENT_STORAGE_MB=2)
    name = server.started(**LONG)
    server.until(name, "running")
    (server.data / "experiments" / name / "filler").write_bytes(bytes(3 << 20))  # like a program that prints endlessly
    assert server.until(name, "failed")["reason"] == "it wrote more than EXPERIMENT_STORAGE_MB = 2 MB"


@pytest.mark.long
def test_time_is_limited(trainer: Trainer) -> None:
    row = trainer.until(trainer.started(**LONG, timeout_minutes=0.2), "failed")
    assert row["reason"] == "it ran longer than its 0.2 minutes" and row["resources"]["seconds"] >= 12


@pytest.mark.long
def test_the_number_of_running_experiments_is_limited(train: Start) -> None:
    server = train(MAX_CONCURRENT_EXPERIMENTS=1, ACCOUNT_EXPERIMENTS=2)
    first = server.started(**LONG)
    server.until(first, "running")
    second = server.experiment(**LONG)
    assert server.post(f"/experiments/{second}/train").json["status"] == "queued"
    third = server.experiment(**LONG)
    refused = server.post(f"/experiments/{third}/train")
    assert refused.status == 429 and "ACCOUNT_EXPERIMENTS = 2" in refused.json["message"]
    assert set(refused.json) == {"error", "message", "details", "timestamp"}
    server.until_steps(first, 1)
    assert server.show(second)["status"] == "queued"
    server.post(f"/experiments/{first}/stop")
    server.until(second, "running")
    assert server.post(f"/experiments/{second}/stop").json["status"] == "stopped"


def test_an_environment_that_raises_fails_its_experiment_with_the_reason(trainer: Trainer) -> None:
    name = trainer.started(environment="Raising-v0")
    row = trainer.until(name, "failed")
    assert "RuntimeError" in row["reason"] and row["exit_code"] == 1
    log = trainer.get(f"/experiments/{name}/log")
    assert log.headers["Content-Type"].startswith("text/plain") and b"RuntimeError" in log.body


@pytest.mark.long
def test_an_environment_that_ends_its_process_fails_its_experiment(trainer: Trainer) -> None:
    name = trainer.started(environment="Leaving-v0")
    assert "its process ended with 7" in trainer.until(name, "failed")["reason"]


@pytest.mark.long
def test_experiments_of_a_deleted_account_are_ended(train: Start) -> None:
    server = train(AUTH="token", JOURNAL_DAYS=0.0)
    account, key = server.account("a")
    _, admin = server.account("b", "admin")
    server.key = key
    name = server.started(**LONG)
    server.until_steps(name, 100)
    leader = server.leader(name)
    assert server.request("DELETE", f"/users/{account}/", Authorization=f"Bearer {admin}").status == 204
    wait_for(lambda: not alive(leader) and not server.folder(name).path.exists(), 300)
