"""In a checkout, `client` and `grader` are other names of `gymserve.client` and `gymserve.grader`."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from gymserve.client.transport.patience import Limits
from tests import ROOT

SAME = """
import client.transport.patience, grader.scores
from client.transport.address import Address
from grader.scores.scoring import ScoringResult
assert not [name for name in sys.modules if name.startswith("gymserve.grader.server")]
import gymserve.client.transport.address, gymserve.client.transport.patience, gymserve.grader.scores.scoring
from gymserve import client as real, grader as grader
assert client is real and client.ServerError is real.ServerError and client.transport is real.transport
assert client.transport.patience is gymserve.client.transport.patience
assert Address is gymserve.client.transport.address.Address
assert ScoringResult is gymserve.grader.scores.scoring.ScoringResult
"""
OTHER_ORDER = """
from gymserve import client as real
import gymserve.client.transport.address, client.transport.address
assert client is real and client.transport.address is gymserve.client.transport.address
"""
UNCHANGED = """
for name, module in [*sys.modules.items()]:
    if name.partition(".")[0] in ("client", "grader"):
        assert module.__name__ == module.__spec__.name == f"gymserve.{name}", (name, module.__spec__)
"""


def run(*command: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": "", "SDL_VIDEODRIVER": "dummy"}
    words = [sys.executable, "-W", "error", *command]
    return subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("code", [SAME, OTHER_ORDER], ids=["the short names first", "the long names first"])
def test_both_names_give_the_same_modules(code: str) -> None:
    ended = run("-c", f"import sys\n{code}\n{UNCHANGED}")
    assert ended.returncode == 0, ended.stderr


def test_a_module_that_does_not_exist_has_no_other_name() -> None:
    ended = run("-c", "import client; import client.nothing")
    assert "ModuleNotFoundError: No module named 'client.nothing'" in ended.stderr


def test_a_pickle_with_the_short_name_can_be_loaded() -> None:
    old = pickle.dumps(Limits(patience=7.0), protocol=0).replace(b"gymserve.client.", b"client.")
    code = f"import pickle; print(repr(pickle.loads({old!r})))"
    ended = run("-c", code)
    assert ended.stdout == f"{Limits(patience=7.0)!r}\n", ended.stderr


@pytest.mark.parametrize("name", ["client", "grader"])
def test_the_command_line_has_both_names(name: str) -> None:
    ended = run("-m", name, "--help")
    assert ended.returncode == 0 and "Usage: python -m" in ended.stdout and f"gymserve.{name}" in ended.stdout, (
        ended.stderr
    )
