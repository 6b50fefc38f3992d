"""The front door's sub-commands, as an operator types them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gymserve.store import schema
from tests.servers import ROOT


@pytest.fixture
def command(tmp_path: Path, database_url: str):  # type: ignore[no-untyped-def]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GYMSERVE_")}
    environment["GYMSERVE_DATABASE"] = database_url

    def run(*words: str, typed: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "gym_http_server.py", "--data", str(tmp_path / "data"), *words],
            input=typed, capture_output=True, text=True, timeout=60, cwd=ROOT, env=environment, check=False,
        )  # fmt: skip
        assert (done.returncode == 0) == (not done.stderr), done.stderr
        return done.stdout + done.stderr

    return run


def test_an_operators_day(command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert "version None" in command("db", "current")
    assert f"the database is of version {schema.newest()}" in command("db", "upgrade")
    assert command("account", "create", "me@example.org", "--role", "admin", typed="long enough\n") == (
        "account 1 me@example.org, admin\n"
    )
    assert "Email already registered" in command("account", "create", "ME@example.org", typed="long enough\n")
    assert "password must be" in command("account", "create", "you", typed="short\n")
    command("account", "create", "you", typed="long enough\n")
    assert "last administrator" in command("account", "disable", "me@example.org")
    assert "you is disabled" in command("account", "disable", "you")
    assert re.search(r"2 participant +disabled you", command("account", "list"))
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
    assert audit.count("command line") >= 6 and "key revoked: 1 of account 2" in audit
    assert password not in audit and key not in audit
    backup = tmp_path / "backup.db"
    assert f"rows are in {backup}" in command("db", "backup", str(backup))
    assert "not empty" in command("db", "restore", str(backup))


@pytest.mark.parametrize("words", [("db",), ("db", "destroy"), ("account", "create"), ("nothing",)])
def test_a_wrong_command_says_how(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "gym_http_server.py", "--data", str(tmp_path), *words],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "usage:" in done.stderr and "Traceback" not in done.stderr
