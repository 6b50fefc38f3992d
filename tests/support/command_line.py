"""Runs sub-commands in this process, because a process of their own would take a second each."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

import gym_http_server
from gymserve.accounts import Accounts
from gymserve.cli import commands
from gymserve.settings import Settings


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path) -> Callable[..., str]:
    """A function that runs `gym_http_server.py --data DATA WORDS…` and returns its output; only failures print errors."""
    opened: list[Accounts] = []

    def accounts(settings: Settings) -> Accounts:
        opened.append(Accounts(settings))
        return opened[-1]

    def run(*words: str, typed: str = "") -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code = gym_http_server.main(["--data", str(data), *words])
        while opened:  # a process of its own would close them when it ends
            opened.pop().database.close()
        out, err = capsys.readouterr()
        assert (code == 0) == (not err), err
        return out + err

    monkeypatch.setattr(commands, "Accounts", accounts)
    return run
