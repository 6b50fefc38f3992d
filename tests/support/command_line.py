"""Runs commands in this process, because a process of their own would take a second each."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

import gym_http_server


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path) -> Callable[..., str]:
    """A function that runs `gymserve WORDS… --data DATA` and returns its output; only failures print errors."""
    data.mkdir(exist_ok=True)

    def run(*words: str, typed: str = "") -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code = gym_http_server.main([*words, "--data", str(data)])
        out, err = capsys.readouterr()
        assert (code == 0) == (not err), err
        return out + err

    return run
