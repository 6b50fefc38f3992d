"""Runners forked from a warm process behave like those in a fresh interpreter."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from gymserve.system import interpreters
from gymserve.training.runners import processes
from gymserve.training.runners.warm import Warm
from tests import ROOT
from tests.support.servers import alive, wait_for
from tests.training.runners.runs import Run, start

PPO = {"algorithm": "PPO", "environment": "CartPole-v1", "total_timesteps": 512, "hyperparameters": {"n_steps": 128}}
REPORTING = {**PPO, "environment": "Reporting-v0", "modules": ["tests.training.environments.reporting"]}


def to_the_end(run: Run, warm: Warm | None = None, **variables: str) -> tuple[int | None, dict[str, Any] | None]:
    """Its exit code and its outcome."""
    child = start(run, warm, **variables)
    assert child is not None
    code = child.wait(600)
    assert not run.folder.is_locked() and not list(processes.members(child.pid))
    return code, run.folder.outcome()


def report(run: Run) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run.folder.path / "report.json").read_text())
    return content


@pytest.mark.guarantee("experiments are forked from one process")
def test_a_forked_run_equals_a_fresh_one_and_does_not_affect_the_next(warm: Warm, tmp_path: Path) -> None:
    fresh, forked, another = runs = [Run(tmp_path / name, **REPORTING) for name in ("fresh", "forked", "another")]
    ended = [
        to_the_end(fresh, GYMSERVE_TOKEN="of the run"),
        to_the_end(forked, warm, GYMSERVE_TOKEN="of the run"),
        to_the_end(another, warm),
    ]
    assert ended[0] == ended[1] == ended[2] and ended[0][0] == 0
    assert fresh.lines() == forked.lines() == another.lines() != []
    reports = [report(run) for run in runs]
    for run, seen in zip(runs, reports, strict=True):
        assert seen.pop("directory") == str(run.folder.path)
        assert seen["leads its session and group"] and seen["imports of other runs"] == 1
        assert "what a program prints" in run.folder.log.read_text()
    drawn = [tuple(seen.pop("random")) for seen in reports]
    assert len({first for first, _ in drawn}) == len({second for _, second in drawn}) == 3
    assert reports[1]["variables"]["GYMSERVE_TOKEN"] == "of the run"
    assert "SECRET_OF_THE_SERVER" not in reports[1]["variables"]
    del reports[0]["variables"]["GYMSERVE_TOKEN"], reports[1]["variables"]["GYMSERVE_TOKEN"]
    assert reports[0] == reports[1] == reports[2]


def test_a_runner_that_ends_its_process_reports_its_exit_code(warm: Warm, tmp_path: Path) -> None:
    plan = {**PPO, "environment": "Leaving-v0", "modules": ["tests.training.environments.troubled"]}
    assert to_the_end(Run(tmp_path / "leaving", **plan), warm) == (7, None)
    run = Run(tmp_path / "killed", **{**PPO, "total_timesteps": 10**9})
    child = start(run, warm)
    assert child is not None and child.poll() is None
    wait_for(run.lines)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait(600) == -signal.SIGKILL


@pytest.mark.long
def test_a_running_experiment_is_not_started_twice_and_outlives_the_warm_process(tmp_path: Path) -> None:
    warm = Warm(interpreters.variables({}))
    wait_for(warm.is_settled)
    run = Run(tmp_path / "run", **{**PPO, "total_timesteps": 10**9})
    child = start(run, warm)
    assert child is not None and start(run, warm) is None
    warm.close()
    assert child.wait(10) is None and alive(child.pid)  # its parent, which knew the exit code, is gone
    wait_for(run.lines)
    os.kill(child.pid, signal.SIGINT)
    wait_for(lambda: not run.folder.is_locked())
    assert (run.folder.outcome() or {})["state"] == "stopped"


@pytest.mark.long
def test_without_the_warm_process_a_run_starts_in_a_fresh_interpreter(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError")
    warm = Warm({**interpreters.variables({}), "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))})
    wait_for(warm.is_settled)
    assert not warm.is_alive()
    assert to_the_end(Run(tmp_path / "run", **PPO), warm)[0] == 0
    warm = Warm(interpreters.variables({}))
    wait_for(warm.is_settled)
    warm._process.kill()
    assert to_the_end(Run(tmp_path / "other", **PPO), warm)[0] == 0
    wait_for(warm.is_settled)  # the next warm process
    assert warm.is_alive()
    warm.close()
