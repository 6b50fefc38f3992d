"""Interpreters in which environments live are made alike, whoever starts them and with whatever variables."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gymserve import settings
from gymserve.protocol.errors import SettingsError
from gymserve.system import interpreters
from tests import ROOT
from tests.support.servers import Server, wait_for

TELL = "import json; from tests.support.environments.telling import told; print(json.dumps(told()))"
SEEN = (None, {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C", "OMP_NUM_THREADS": "9", "ANYTHING": "else"})


def seen(directory: Path, variables: dict[str, str]) -> Any:
    command = [sys.executable, "-c", TELL]
    return json.loads(subprocess.run(command, cwd=directory, env=variables, capture_output=True, check=True).stdout)


@pytest.mark.guarantee("environments live in hosts, graders, videos and training runs, started with any variables")
def test_no_variable_of_who_starts_them_makes_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for variables in SEEN:
        for name, value in (variables or {}).items():
            monkeypatch.setenv(name, value)
        found.append(seen(interpreters.directory(tmp_path), interpreters.variables({"SUMO_HOME": "/opt/sumo"})))
    assert found[0] == found[1]
    assert found[0]["variables"]["SUMO_HOME"] == "/opt/sumo" and "ANYTHING" not in found[0]["variables"]
    assert found[0]["zone"] == ["UTC", "UTC"] and found[0]["encoding"] == "utf-8"


def test_they_stand_beside_no_database_and_no_secret(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("of the server")
    assert list(interpreters.directory(tmp_path).iterdir()) == []


def test_mujoco_draws_with_egl_only_where_that_can_be_loaded() -> None:
    assert interpreters.drawing("libnone-such.so.1") == {}
    assert interpreters.drawing("libc.so.6") == {"MUJOCO_GL": "egl"}


@pytest.mark.parametrize(
    "value", ['{"A": 1}', '{"A B": "x"}', '{"PYTHONPATH": "x"}', '{"GYMSERVE_DATA": "x"}', '{"A": "\\u0000"}', "[]"]
)
def test_a_setting_of_variables_that_cannot_be_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="ENVIRONMENT_VARIABLES"):
        settings.load(None, {"GYMSERVE_ENVIRONMENT_VARIABLES": value}, {})


def test_commands_begin_again_in_such_an_interpreter_and_keep_the_users_variables(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"from gymserve.system import interpreters\ninterpreters.become_alike()\n{TELL}\n")
    told = []
    for seed in ("1", "2"):
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed, "SUMO_HOME": "/opt/sumo"}
        done = subprocess.run([sys.executable, str(program)], env=variables, capture_output=True, check=True)
        told.append(json.loads(done.stdout))
    assert told[0] == told[1] and told[0]["variables"]["SUMO_HOME"] == "/opt/sumo"


CHALLENGE = {
    "name": "telling", "environment": "Telling-v0", "trials": {"number": 1}, "scoring": {"worst": 0},
    "max_episode_steps": 5,
}  # fmt: skip


@pytest.mark.long
def test_hosts_graders_videos_and_training_see_the_same(
    start: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "3")
    server = start(
        ENVIRONMENT_MODULES=["tests.support.environments.telling"],
        ENVIRONMENT_VARIABLES={"TOLD": str(tmp_path)},
        MEDIA=True,
    )
    (server.data / "work" / "settings.txt").write_text("beside the environment")
    assert server.post("/challenges/", {"definition": CHALLENGE}).status == 200
    token = server.post("/challenges/telling/submissions/").json["token"]
    server.post(f"/v1/envs/{token}/reset/")
    server.post(f"/v1/envs/{token}/step/", {"action": 0})
    server.post(f"/v1/envs/{token}/close/")
    order = {"name": "a", "environment": "Telling-v0", "algorithm": "PPO", "total_timesteps": 64}
    order["hyperparameters"] = {"n_steps": 32, "batch_size": 32}
    experiment = server.post("/experiments", order).json["id"]
    assert server.post(f"/experiments/{experiment}/train").status in (200, 202)
    names = (
        "gymserve.hosts.supervisor",
        "grader.proofs.replays",
        "gymserve.recording.worker",
        "gymserve.training.runners.warm",
    )
    files = [tmp_path / f"{name}.json" for name in names]
    wait_for(lambda: all(file.exists() and file.read_text().endswith("}") for file in files))
    hosts, *others = (json.loads(file.read_text()) for file in files)
    for each in (hosts, *others):
        each["variables"].pop("LD_LIBRARY_PATH", None)  # OpenCV, which training imports, extends it
    assert all(each == hosts for each in others)
    assert hosts["files"] == ["settings.txt"] and hosts["directory"] == str(server.data.resolve() / "work")
