"""Interpreters that run environments are alike, regardless of what starts them and of its environment variables."""

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

PRINT_FACTS = "import json; from tests.support.environments.introspecting import facts; print(json.dumps(facts()))"
VARIABLES = (
    None,
    {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C", "OMP_NUM_THREADS": "9", "ANYTHING": "else"},
)


def facts_in(directory: Path, variables: dict[str, str]) -> Any:
    command = [sys.executable, "-c", PRINT_FACTS]
    return json.loads(subprocess.run(command, cwd=directory, env=variables, capture_output=True, check=True).stdout)


@pytest.mark.guarantee("environments live in hosts, graders, videos and training runs, started with any variables")
def test_the_variables_of_the_starting_process_make_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = []
    for variables in VARIABLES:
        for name, value in (variables or {}).items():
            monkeypatch.setenv(name, value)
        facts.append(facts_in(interpreters.directory(tmp_path), interpreters.variables({"SUMO_HOME": "/opt/sumo"})))
    assert facts[0] == facts[1]
    assert facts[0]["variables"]["SUMO_HOME"] == "/opt/sumo" and "ANYTHING" not in facts[0]["variables"]
    assert facts[0]["zone"] == ["UTC", "UTC"] and facts[0]["encoding"] == "utf-8"


def test_their_working_directory_has_no_database_and_no_secret(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("of the server")
    assert list(interpreters.directory(tmp_path).iterdir()) == []


def test_mujoco_renders_with_egl_only_if_it_can_be_loaded() -> None:
    assert interpreters.rendering_variables("libnone-such.so.1") == {}
    assert interpreters.rendering_variables("libc.so.6") == {"MUJOCO_GL": "egl"}


@pytest.mark.parametrize(
    "value", ['{"A": 1}', '{"A B": "x"}', '{"PYTHONPATH": "x"}', '{"GYMSERVE_DATA": "x"}', '{"A": "\\u0000"}', "[]"]
)
def test_invalid_variables_in_the_settings_are_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="ENVIRONMENT_VARIABLES"):
        settings.load(None, {"GYMSERVE_ENVIRONMENT_VARIABLES": value}, {})


def test_commands_restart_in_such_an_interpreter_and_keep_the_users_variables(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"from gymserve.system import interpreters\ninterpreters.reexecute_alike()\n{PRINT_FACTS}\n")
    facts = []
    for seed in ("1", "2"):
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed, "SUMO_HOME": "/opt/sumo"}
        done = subprocess.run([sys.executable, str(program)], env=variables, capture_output=True, check=True)
        facts.append(json.loads(done.stdout))
    assert facts[0] == facts[1] and facts[0]["variables"]["SUMO_HOME"] == "/opt/sumo"


CHALLENGE = {
    "name": "introspecting", "environment": "Introspecting-v0", "trials": {"number": 1}, "scoring": {"worst": 0},
    "max_episode_steps": 5,
}  # fmt: skip


@pytest.mark.long
def test_hosts_graders_videos_and_training_have_the_same_facts(
    start: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "3")
    server = start(
        ENVIRONMENT_MODULES=["tests.support.environments.introspecting"],
        ENVIRONMENT_VARIABLES={"FACTS_FOLDER": str(tmp_path)},
        MEDIA=True,
    )
    (server.data / "work" / "settings.txt").write_text("beside the environment")
    assert server.post("/challenges/", {"definition": CHALLENGE}).status == 200
    token = server.post("/challenges/introspecting/submissions/").json["token"]
    server.post(f"/v1/envs/{token}/reset/")
    server.post(f"/v1/envs/{token}/step/", {"action": 0})
    server.post(f"/v1/envs/{token}/close/")
    params = {"name": "a", "environment": "Introspecting-v0", "algorithm": "PPO", "total_timesteps": 64}
    params["hyperparameters"] = {"n_steps": 32, "batch_size": 32}
    experiment = server.post("/experiments", params).json["id"]
    assert server.post(f"/experiments/{experiment}/train").status in (200, 202)
    names = (
        "gymserve.hosts.supervisor",
        "gymserve.grader.proofs.replays",
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
