"""How the server starts and ends, as somebody at a terminal sees it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers import ROOT, Server, alive, wait_for


def start_in_vain(*arguments: str | Path) -> str:
    """What a server says that cannot start; it must be one line."""
    command = [sys.executable, str(ROOT / "gym_http_server.py"), *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GYMSERVE_")}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, env=environment)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1), ended
    assert ended.stderr.startswith("gymserve: ")
    return ended.stderr


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = start_in_vain("-p", str(taken.getsockname()[1]), "--data", tmp_path)
    assert "Address already in use" in said and "-p" in said


def test_a_data_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written" in start_in_vain("-p", "0", "--data", tmp_path / "file" / "data")


def test_a_data_directory_of_another_server_is_told(start: Callable[..., Server]) -> None:
    assert "another server uses the data directory" in start_in_vain("-p", "0", "--data", start().data)


@pytest.mark.parametrize(
    ("text", "said"),
    [("PORT = (", "line 1"), ("\nPORT = 1 / 0", "line 2: ZeroDivisionError"), ("PROT = 5000", "did you mean PORT?")],
)
def test_a_broken_settings_file_is_told(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "settings.py"
    file.write_text(text)
    assert said in start_in_vain("--settings", file, "--data", tmp_path / "data")


def test_an_address_that_others_reach_needs_accounts(tmp_path: Path) -> None:
    assert 'AUTH = "token"' in start_in_vain("-l", "0.0.0.0", "-p", "0", "--data", tmp_path)


def test_it_says_where_it_listens_and_what_to_try(start: Callable[..., Server]) -> None:
    server = start()
    wait_for(lambda: len(server.output) > 1)
    first, second = server.output[:2]
    assert server.url in first and str(server.data) in first
    assert second.startswith(f"Try: curl -X POST {server.url}/v1/envs/")
    words = second.removeprefix("Try: ").strip()
    tried = subprocess.run(["bash", "-c", words + " -s"], capture_output=True, text=True, timeout=60)
    assert '"instance_id"' in tried.stdout, tried


def test_ctrl_c_ends_it_in_order(start: Callable[..., Server]) -> None:
    server = start()
    server.create("CartPole-v1")
    processes = server.processes()
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(60) == 0
    assert not [pid for pid in processes if alive(pid)]
    assert not [line for line in server.output if "Traceback" in line]


def test_reload_restarts_the_workers_when_code_changes(tmp_path: Path) -> None:
    module = tmp_path / "more_environments.py"
    module.write_text("")
    environment = os.environ | {
        "GYMSERVE_ENVIRONMENT_MODULES": "more_environments",
        "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT))),
    }
    command = [sys.executable, str(ROOT / "gym_http_server.py"), "-p", "0", "--workers", "1", "--reload", "--debug"]
    with subprocess.Popen(
        [*command, "--data", str(tmp_path / "data")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        said = [process.stdout.readline(), process.stdout.readline()]
        assert "listens on" in said[0]
        while "Booting worker" not in said[-1]:
            said.append(process.stdout.readline())
            assert said[-1], "".join(said)
        os.utime(module, (1, 1))
        while "Booting worker" not in said[-1] or said[-1] in said[:-1]:
            module.touch()
            said.append(process.stdout.readline())
            assert said[-1], "".join(said)
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
    assert process.returncode == 0
