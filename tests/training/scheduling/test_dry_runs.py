"""Dry runs: a plan is tried in its own process before its experiment exists, and an equivalent one is not tried again."""

import contextlib
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from gymserve.protocol.errors import LimitReached, Unavailable, Untrainable
from gymserve.protocol.spaces import describe
from gymserve.training.plan.training_plan import TrainingPlan
from gymserve.training.runners.folder import Folder
from gymserve.training.scheduling import dry_runs
from gymserve.training.scheduling.dry_runs import DryRunner, DryRuns, waiting
from tests.support.servers import wait_for
from tests.training.conftest import QUICK, Trainer
from tests.training.environments.demanding import KINDS

PLAN = TrainingPlan(package="stable_baselines3", algorithm="PPO", environment="CartPole-v1")
SPACES: Any = tuple(describe(space) for space in KINDS["Shifted"])


def deciding(folder: Path, state: str) -> Any:
    """Replaces the scheduler: ends each dry run with this outcome."""
    seen: list[Path] = []

    def wake() -> None:
        for path in waiting(folder):
            seen.append(path)
            with contextlib.suppress(FileNotFoundError):  # its worker has just removed it
                Folder(path).end(state, reason="of the library")

    return wake, seen


def test_a_plan_is_tried_once_and_leaves_nothing(tmp_path: Path) -> None:
    wake, seen = deciding(tmp_path, "completed")
    runs = DryRuns(tmp_path, wake)
    for seed in (1, 2, 3):  # seeds do not matter
        runs.check(PLAN.replace(seed=seed), SPACES)
    assert len(seen) == 1 and not runs.has_work() and list(tmp_path.iterdir()) == []
    runs.check(PLAN.replace(hyperparameters={"gamma": 0.9}), SPACES)
    runs.check(PLAN, SPACES[::-1])
    assert len(seen) == 3


def test_a_refused_plan_is_tried_again(tmp_path: Path) -> None:
    wake, seen = deciding(tmp_path, "failed")
    runs = DryRuns(tmp_path, wake)
    for _ in range(2):
        with pytest.raises(
            Untrainable, match="PPO cannot be trained in CartPole-v1 with this configuration: of the library"
        ):
            runs.check(PLAN, SPACES)
    assert len(seen) == 2 and list(tmp_path.iterdir()) == []


def test_waiting_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_runs, "WAIT_SECONDS", 0.0)
    with pytest.raises(Unavailable, match="try again"):
        DryRuns(tmp_path, lambda: None).check(PLAN, SPACES)
    assert list(tmp_path.iterdir()) == []


def test_few_requests_wait_in_a_worker(tmp_path: Path) -> None:
    entered, go, one_at_a_time = threading.Semaphore(0), threading.Event(), threading.Lock()

    def wake() -> None:
        entered.release()
        go.wait(60)
        with one_at_a_time:
            deciding(tmp_path, "completed")[0]()

    runs = DryRuns(tmp_path, wake)
    others = [threading.Thread(target=runs.check, args=(PLAN.replace(n_envs=n), SPACES)) for n in range(1, 9)]
    for each in others:
        each.start()
        entered.acquire()
    with pytest.raises(LimitReached, match="try again"):
        runs.check(PLAN.replace(n_envs=9), SPACES)
    go.set()
    for each in others:
        each.join(60)


class Sleeping:
    """Replaces the warm process: its runners do nothing until they are ended."""

    def is_settled(self) -> bool:
        return True

    def fork(self, module: str, folder: Path, variables: Any, *, directory: Path, lock: int, log: int) -> Any:
        return subprocess.Popen(["sleep", "600"], pass_fds=(lock,), start_new_session=True)


@pytest.mark.parametrize(
    ("seconds", "memory_bytes", "said"),
    [
        (0.0, 1 << 40, "takes longer than 0 s"),
        (600.0, 1, "more than EXPERIMENT_MEMORY_MB"),
        (600.0, 1 << 40, "killed the process"),
    ],
)
def test_a_dry_run_over_its_limits_is_ended_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, memory_bytes: int, said: str
) -> None:
    monkeypatch.setattr(dry_runs, "SECONDS", seconds)
    Folder(tmp_path / "one").prepare(PLAN)
    runner, warm = DryRunner(tmp_path, memory_bytes=memory_bytes), Sleeping()
    assert runner.poll(warm)
    process = Folder(tmp_path / "one").process()
    assert process is not None
    if said == "killed the process":
        subprocess.run(["kill", "-9", str(process.pid)], check=True)

    def outcome() -> Any:
        runner.poll(warm)
        return Folder(tmp_path / "one").outcome()

    ended = wait_for(outcome)
    assert ended["state"] == "failed" and said in ended["reason"]
    wait_for(lambda: not process.is_there())
    assert not runner.poll(warm)


@pytest.mark.guarantee("an experiment is created")
def test_the_librarys_errors_are_reported_at_creation(trainer: Trainer) -> None:
    settings = {"name": "t", "algorithm": "PPO", "environment": "CartPole-v1", **QUICK}
    refused = trainer.post("/experiments", {**settings, "hyperparameters": {"n_steps": 1}})
    assert refused.status == 422 and "n_steps" in refused.json["message"], refused.body
    assert "\n" not in refused.json["message"]
    assert list((trainer.data / "dry-runs").iterdir()) == []
