"""The front door's sub-commands, run in this process: an interpreter of its own costs a second of each."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

import gym_http_server
from gymserve.accounts import Accounts
from gymserve.cli import commands
from gymserve.settings import Settings


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path) -> Callable[..., str]:
    """What runs `gym_http_server.py --data DATA WORDS…` and returns all that it prints; only failures print errors."""
    opened: list[Accounts] = []

    def accounts(settings: Settings) -> Accounts:
        opened.append(Accounts(settings))
        return opened[-1]

    def run(*words: str, typed: str = "") -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code = gym_http_server.main(["--data", str(data), *words])
        while opened:  # what a process of its own leaves to its end
            opened.pop().database.close()
        out, err = capsys.readouterr()
        assert (code == 0) == (not err), err
        return out + err

    monkeypatch.setattr(commands, "Accounts", accounts)
    return run
