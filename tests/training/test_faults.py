"""What happens to experiments when they, the scheduler or the whole server are paused, stopped, killed or too large."""

import os
import signal
from collections.abc import Callable
from typing import Any

from gymserve.training.runners import processes
from tests.servers import alive, wait_for
from tests.training.conftest import Trainer

LONG = {"total_timesteps": 10**9, "hyperparameters": {"n_steps": 256}, "checkpoint_every": 512}
SHORT = {"total_timesteps": 8192, "hyperparameters": {"n_steps": 256}, "checkpoint_every": 512}
Start = Callable[..., Trainer]


def group(leader: int) -> list[int]:
    """The living processes of a group."""
    return [pid for pid, _ in processes.members(leader)]


def curve(server: Trainer, name: str) -> list[dict[str, Any]]:
    found = server.get(f"/experiments/{name}/metrics").json["metrics"]
    return [{key: value for key, value in each.items() if key != "time/fps"} for each in found]


def test_a_stopped_experiment_is_dead_before_it_says_so(train: Start) -> None:
    server = train()
    name = server.started(**LONG, n_envs=2, vectorisation="async")
    server.until_steps(name, 1000)
    leader = server.leader(name)
    stopped = server.post(f"/experiments/{name}/stop").json
    assert (stopped["status"], stopped["exit_code"]) == ("stopped", 0)
    assert not alive(leader) and group(leader) == []
    assert server.get(f"/experiments/{name}/results").json["model_path"]  # what it had learned by then
    assert server.post(f"/experiments/{name}/resume").status == 200
    server.until_steps(name, stopped["timesteps"] + 1000)
    assert server.post(f"/experiments/{name}/stop").json["status"] == "stopped"


def test_the_server_restarts_and_experiments_go_on(train: Start) -> None:
    server = train()
    name = server.started(**LONG)
    before = server.until_steps(name, 2000)
    leader = server.leader(name)
    for end in (server.stop, server.kill):
        end()
        assert alive(leader)
        server.start()
        row = server.show(name)
        assert row["status"] == "running" and server.leader(name) == leader
        before = server.until_steps(name, max(row["timesteps"], before["timesteps"]) + 2000)
    steps = [point["timestep"] for point in server.get(f"/experiments/{name}/metrics?names=reward").json["metrics"]]
    assert steps == sorted(set(steps))
    server.post(f"/experiments/{name}/stop")
    assert not alive(leader)


def test_a_killed_scheduler_is_replaced_and_loses_nothing(train: Start) -> None:
    server = train()
    reference = server.started(**SHORT)
    server.until(reference, "completed")
    name = server.started(**SHORT)
    killed = 0
    while server.show(name)["status"] != "completed":
        scheduler = server.scheduler()
        if scheduler is not None and killed < 5:
            os.kill(scheduler, signal.SIGKILL)
            wait_for(lambda pid=scheduler: not alive(pid))
            killed += 1
            wait_for(lambda: server.scheduler() or server.show(name)["status"] == "completed", 90)
    assert killed > 0 and curve(server, name) == curve(server, reference)


def test_a_folder_that_is_damaged_stands_in_no_other_experiments_way(train: Start) -> None:
    server = train()
    name = server.started(**LONG)
    server.until_steps(name, 1)
    (server.folder(name).path / "order.json").write_text("{")
    scheduler = server.scheduler()
    assert scheduler is not None
    os.kill(scheduler, signal.SIGKILL)  # the next one reads it
    other = server.started(**LONG)
    server.until_steps(other, 1)
    for each in (name, other):
        assert server.post(f"/experiments/{each}/stop").json["status"] == "stopped"


def test_a_killed_experiment_goes_on_from_its_checkpoint_with_the_same_curve(train: Start) -> None:
    server = train()
    reference = server.started(**SHORT)
    name = server.started(**SHORT)
    server.until_steps(name, 1500)
    os.kill(server.leader(name), signal.SIGKILL)
    for each in (name, reference):
        server.until(each, "completed")
    assert curve(server, name) == curve(server, reference)


def test_an_experiment_that_is_killed_again_and_again_fails_with_the_reason(train: Start) -> None:
    server = train()
    name = server.started(**LONG)
    seen: set[int] = set()
    while (row := server.show(name))["status"] in ("queued", "running"):
        process = server.folder(name).process()
        if process is not None and process.pid not in seen and process.is_there():
            seen.add(process.pid)
            os.kill(process.pid, signal.SIGKILL)
    assert (row["status"], row["reason"]) == ("failed", "its process was killed 3 times (last by signal 9)")
    assert len(seen) == 3


def test_time_and_memory_are_limited(train: Start) -> None:
    server = train(EXPERIMENT_MEMORY_MB=120)
    name = server.started(**LONG)
    row = server.until(name, "failed")
    assert row["reason"] == "it used more than EXPERIMENT_MEMORY_MB = 120 MB"
    server = train()
    name = server.started(**LONG, timeout_minutes=0.2)
    row = server.until(name, "failed")
    assert row["reason"] == "it ran longer than its 0.2 minutes" and row["resources"]["seconds"] >= 12


def test_no_more_run_at_a_time_than_the_settings_say(train: Start) -> None:
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


def test_an_environment_that_raises_fails_its_experiment_with_the_reason(train: Start) -> None:
    server = train(ENVIRONMENT_MODULES=["tests.training.troubled_environments"])
    name = server.started(environment="Raising-v0")
    row = server.until(name, "failed")
    assert "RuntimeError" in row["reason"] and row["exit_code"] == 1
    log = server.get(f"/experiments/{name}/log")
    assert log.headers["Content-Type"].startswith("text/plain") and b"RuntimeError" in log.body
    name = server.started(environment="Leaving-v0")
    assert "its process ended with 7" in server.until(name, "failed")["reason"]


def test_experiments_of_a_deleted_account_are_ended(train: Start) -> None:
    server = train(AUTH="token", JOURNAL_DAYS=0.0)
    account, key = server.account("a")
    _, admin = server.account("b", "admin")
    server.key = key
    name = server.started(**LONG)
    server.until_steps(name, 100)
    leader = server.leader(name)
    assert server.request("DELETE", f"/users/{account}/", Authorization=f"Bearer {admin}").status == 204
    wait_for(lambda: not alive(leader) and not server.folder(name).path.exists(), 60)
