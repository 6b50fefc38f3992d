"""The server starts and stops from a terminal, and says why if it cannot start."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import urllib3

from gymserve.accounts import Accounts, AccountSettings
from gymserve.protocol.errors import SettingsError
from gymserve.settings import Settings
from gymserve.store import schema
from gymserve.web.app import create_app
from gymserve.web.http.counts import Counts
from gymserve.web.serving.server import check_listeners
from tests import ROOT
from tests.support.servers import Server, alive, wait_for


def failed_start(*arguments: str | Path) -> str:
    """Starts a server that cannot start; returns its message, which must be one line."""
    command = [sys.executable, str(ROOT / "gym_http_server.py"), *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GYMSERVE_")}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1), ended
    assert ended.stderr.startswith("gymserve: ")
    return ended.stderr


def test_a_port_in_use_is_reported(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = failed_start("-p", str(taken.getsockname()[1]), "--data", tmp_path)
    assert "Address already in use" in said and "-p" in said


def test_a_data_directory_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written" in failed_start("-p", "0", "--data", tmp_path / "file" / "data")


@pytest.mark.guarantee("a second server is started on the same data")
def test_a_second_server_on_the_same_data_is_refused_and_changes_nothing(server: Server) -> None:
    token = server.create("CartPole-v1")
    server.post(f"/v1/envs/{token}/reset/")
    before = server.supervisor(), server.hosts()
    assert "another server uses the data directory" in failed_start("-p", "0", "--data", server.data)
    assert (server.supervisor(), server.hosts()) == before
    assert server.post(f"/v1/envs/{token}/step/", {"action": 0}).status == 200
    server.post(f"/v1/envs/{token}/close/")


@pytest.mark.parametrize(
    ("text", "said"),
    [("PORT = (", "line 1"), ("\nPORT = 1 / 0", "line 2: ZeroDivisionError"), ("PROT = 5000", "did you mean PORT?")],
)
def test_a_broken_settings_file_is_reported(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "settings.py"
    file.write_text(text)
    assert said in failed_start("--settings", file, "--data", tmp_path / "data")


def test_an_address_that_other_machines_reach_needs_accounts(tmp_path: Path) -> None:
    assert 'AUTH = "token"' in failed_start("-l", "0.0.0.0", "-p", "0", "--data", tmp_path)


@pytest.mark.guarantee("an open server is started so that other machines reach it")
def test_no_open_application_is_made_for_addresses_that_other_machines_reach(tmp_path: Path) -> None:
    """Like with `gunicorn -b 0.0.0.0:5000 gym_http_server:app` outside of the folder with gunicorn.conf.py."""
    configuration = Settings(DATA=str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)), socket.socket():
        check_listeners(configuration)
        with socket.create_server(("0.0.0.0", 0)):  # only bound: nothing is served there
            with pytest.raises(SettingsError, match='AUTH = "token"'):
                check_listeners(configuration)
            check_listeners(Settings(DATA=str(tmp_path), AUTH="token"))
            check_listeners(Settings(DATA=str(tmp_path), FORCE_OPEN=True))


@pytest.mark.guarantee("an open server is started so that other machines reach it")
@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        ("192.0.2.1", False),
        ("::ffff:192.0.2.1", False),
        ("10.0.0.5", False),
        ("127.0.0.1", True),
        ("::1", True),
        ("", True),
    ],
)
def test_an_open_application_answers_only_its_own_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peer: str, allowed: bool
) -> None:
    monkeypatch.setattr(Counts, "flush", lambda _: None)  # a flush would start a supervisor
    settings = Settings(DATA=str(tmp_path))
    schema.ensure(Accounts(settings.pick(AccountSettings)).database, tmp_path)
    client = create_app(settings).test_client()
    for path in ("/health/live", "/v1/envs/x/step/"):
        ask = client.get if path.startswith("/health") else client.post
        answer = ask(path, environ_overrides={"REMOTE_ADDR": peer}, json={"action": 0} if ask == client.post else None)
        assert (answer.status_code == 403) != allowed, answer.data
        assert allowed or 'AUTH = "token"' in answer.json["message"]


@pytest.mark.needs("curl")
def test_it_prints_its_address_and_a_command_to_try(start: Callable[..., Server]) -> None:
    server = start()
    wait_for(lambda: len(server.output) > 2)
    first, _, second = server.output[:3]
    assert server.url in first and str(server.data) in first
    assert second.startswith(f"Try: curl -X POST {server.url}/v1/envs/")
    words = second.removeprefix("Try: ").strip()
    tried = subprocess.run(["bash", "-c", words + " -s"], capture_output=True, text=True, timeout=60)
    assert '"instance_id"' in tried.stdout, tried


def test_odd_addresses_paths_and_prefixes_are_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / ("t" * 120)  # a socket's path has at most 107 bytes
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    server = Server(tmp_path / "a %20b?c#d", HOST="::1", PROXIES=1)
    try:
        assert server.url.startswith("http://[::1]:")
        server.create("CartPole-v1")
        assert server.get("/health/ready").status == 200 and (server.data / "gymserve.db").exists()
        assert server.get("/health/live", Host="[0:0:0:0:0:0:0:1]").status == 200
        for other in ("[::2]", "[::1].example.org", "[1]", "example.org"):
            assert server.get("/health/live", Host=other).status == 400, other
        page = server.get("/", Accept="text/html", X_Forwarded_Prefix="/gym").body.decode()
        links = re.findall(r'(?:href|src|action)="(/[^"]*)', page)
        assert links and all(link.startswith("/gym/") for link in links)
        assert server.get("/openapi.json", X_Forwarded_Prefix="/gym").json["servers"] == [{"url": "/gym"}]
    finally:
        assert server.stop() == 0


def test_ctrl_c_stops_it_cleanly(start: Callable[..., Server]) -> None:
    server = start()
    server.create("CartPole-v1")
    processes = server.processes()
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(60) == 0
    assert not [pid for pid in processes if alive(pid)]
    assert not [line for line in server.output if "Traceback" in line]


@pytest.mark.long
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
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
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


@pytest.mark.long
def test_a_demo_has_a_challenge_a_submission_and_a_model(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "gym_http_server.py"), "--demo", "-p", "0", "--data", str(tmp_path)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GYMSERVE_")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline()]
            while not lines[-1].startswith("demo: the model"):
                lines.append(process.stdout.readline())
                assert lines[-1] and "Error: " not in lines[-1], lines
            pages = [line.split()[-1] for line in lines if line.startswith("demo: ")]
            assert len(pages) == 3
            for page in pages:
                assert urllib3.request("GET", page, timeout=60).status == 200
            board = urllib3.request("GET", pages[0].replace("/boards/", "/challenges/") + "/leaderboard").json()
            assert board["places"][0]["score"] > 100
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
