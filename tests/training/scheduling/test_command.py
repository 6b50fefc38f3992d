"""`gymserve train`, without a server and beside one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gymserve.training.runners.folder import Folder
from tests import ROOT
from tests.support.servers import wait_for
from tests.training.conftest import Trainer

WORDS = ["train", "pole", "--algorithm", "PPO", "--environment", "CartPole-v1", "--timesteps"]


def command(data: Path, *words: str) -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GYMSERVE_")}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "gym_http_server.py"), "--data", str(data), *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    )  # fmt: skip


@pytest.mark.long
def test_a_policy_is_trained_without_a_server(tmp_path: Path) -> None:
    out, _ = command(tmp_path, *WORDS, "1000", "--hyperparameters", '{"n_steps": 100, "batch_size": 50}').communicate(
        timeout=300
    )
    lines = out.splitlines()
    assert lines[0].startswith("experiment ") and lines[-2] == "completed after 1000 timesteps"
    assert json.loads(lines[-1])["episodes"] == 10


def test_what_cannot_be_trained_is_refused_in_one_line(tmp_path: Path) -> None:
    out, _ = command(tmp_path, *WORDS, "1000", "--hyperparameters", "{").communicate(timeout=300)
    assert out == "gymserve: --hyperparameters must be a JSON object\n"


@pytest.mark.long
def test_ctrl_c_stops_it(tmp_path: Path) -> None:
    process = command(tmp_path, *WORDS, "100000000")
    assert process.stdout is not None
    name = process.stdout.readline().split()[1].rstrip(",")
    file = tmp_path / "experiments" / name / "metrics.jsonl"
    wait_for(lambda: file.exists() and file.stat().st_size > 100, 300)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=300)
    assert "stopped after" in out and process.returncode == 0
    assert not Folder(file.parent).is_locked()


@pytest.mark.long
def test_beside_a_server_that_server_runs_it(train: Callable[..., Trainer]) -> None:
    server = train()
    first = server.started(total_timesteps=300)
    server.until(first, "completed")
    out, _ = command(server.data, *WORDS, "300").communicate(timeout=300)
    assert "completed after" in out
    newest = server.get("/experiments?limit=1").json[0]
    assert (newest["name"], newest["status"]) == ("pole", "completed")
