"""The sub-commands, as an operator types them."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import gym_http_server
from gymserve.store import schema
from tests import ROOT
from tests.support.command_line import runner


@pytest.fixture
def command(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs a sub-command in this process and returns what it prints."""
    for name in os.environ:
        if name.startswith("GYMSERVE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GYMSERVE_DATABASE", database_url)
    return runner(monkeypatch, capsys, tmp_path / "data")


@pytest.fixture
def typed(tmp_path: Path) -> Callable[..., str]:
    """Runs a sub-command in a process of its own, like an operator."""
    (tmp_path / "data").mkdir()

    def run(*words: str, typed: str = "") -> str:
        command = [sys.executable, str(ROOT / "gym_http_server.py"), "--data", str(tmp_path / "data"), *words]
        done = subprocess.run(
            command, input=typed, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False
        )
        assert (done.returncode == 0) == (not done.stderr), done.stderr
        return done.stdout + done.stderr

    return run


@pytest.mark.long
def test_an_operators_day_in_processes(typed: Callable[..., str], tmp_path: Path) -> None:
    test_an_operators_day(typed, tmp_path)


def test_an_operators_day(command: Callable[..., str], tmp_path: Path) -> None:
    assert "version None" in command("db", "current")
    assert f"the database has version {schema.newest()}" in command("db", "upgrade")
    assert command("account", "create", "me@example.org", "--role", "admin", typed="long enough\n") == (
        "account 1 me@example.org, admin\n"
    )
    assert "Email already registered" in command("account", "create", "ME@example.org", typed="long enough\n")
    assert "password must be" in command("account", "create", "you", typed="short\n")
    command("account", "create", "you", typed="long enough\n")
    assert "last administrator" in command("account", "disable", "me@example.org")
    assert "you is disabled" in command("account", "disable", "you")
    assert re.search(r"2 +participant +disabled +you", command("account", "list"))
    assert "you is enabled" in command("account", "enable", "you")
    key = command("key", "create", "you", "laptop", "--scopes", "environments", "--days", "9").split()[-1]
    assert key.startswith("gs_")
    listed = command("key", "list", "you")
    assert "environments" in listed and "laptop" in listed and key not in listed
    assert "key 1 is revoked" in command("key", "revoke", "you", "1")
    assert "there is no key 1" in command("key", "revoke", "you", "1")
    assert "there is no account nobody" in command("key", "list", "nobody")
    password = command("account", "reset-password", "you").split()[-1]
    audit = command("audit", "--days", "1")
    assert audit.count("command line") >= 6 and re.search("key revoked +1 of account 2", audit)
    assert password not in audit and key not in audit
    backup = tmp_path / "backup.db"
    assert f"rows were copied to {backup}" in command("db", "backup", str(backup))
    assert "not empty" in command("db", "restore", str(backup))


@pytest.mark.parametrize("words", [("db",), ("db", "destroy"), ("account", "create"), ("nothing",)])
def test_a_wrong_command_prints_the_usage(
    tmp_path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert gym_http_server.main(["--data", str(tmp_path), *words]) == 2
    assert "Usage:" in capsys.readouterr().err
