"""The names of states are written only in `grader/challenges/states.py` and `gymserve/training/plan/states.py`."""

import ast
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from gymserve.client import submission, training
from gymserve.grader.challenges.states import SubmissionState, TrialState, VerdictState
from gymserve.training.plan.states import ExperimentState

ROOT = Path(__file__).parent.parent.parent
WORDS = set(chain(SubmissionState, VerdictState, TrialState, ExperimentState))
OF_OTHERS = {  # files in which such a word means something else
    "grader/challenges/states.py",
    "gymserve/training/plan/states.py",
    "grader/challenges/definition.py",  # fields of a challenge: scoring.cut, scoring.unplayed
    "grader/server/reports/__init__.py",  # a crowdAI server's grading statuses
    "gymserve/web/challenges/pages.py",  # the button `void`
    "gymserve/web/training/experiments.py",  # states that a request asks for
    "gymserve/hosts/instance/recorded.py",  # states of an instance
    "gymserve/journal/records.py",  # kinds of an `Ended`
    "gymserve/recording/media.py",  # states of a video
}
BY_NAME = {"getattr", "setattr", "hasattr", "get", "pop"}  # functions that take the name of a member


def literals(tree: ast.AST) -> Iterator[ast.Constant]:
    """The strings of a program that are values, not keys of a mapping or names of members."""
    names: set[ast.AST | None] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            names.update(node.keys)
        elif isinstance(node, ast.Subscript):
            names.update(getattr(node.slice, "elts", [node.slice]))  # of `Literal` in a request's struct, too
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            names.update(node.args[:2] if called in BY_NAME else ())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in names:
            yield node


FILES = [path for folder in ("gymserve", "grader") for path in sorted((ROOT / folder).rglob("*.py"))]


def test_no_state_is_written_out_elsewhere() -> None:
    written_out = []
    for path in FILES:
        name = str(path.relative_to(ROOT))
        if name not in OF_OTHERS and "migrations" not in path.parts:
            written_out += [
                f"{name}:{node.lineno}: {node.value}"
                for node in literals(ast.parse(path.read_text()))
                if node.value in WORDS
            ]
    assert written_out == []


@pytest.mark.parametrize("name", sorted(OF_OTHERS))
def test_every_exception_is_needed(name: str) -> None:
    assert WORDS & {node.value for node in literals(ast.parse((ROOT / name).read_text()))}


def test_the_client_waits_for_the_servers_states() -> None:
    assert set(training.ACTIVE) == {state for state in ExperimentState if state.is_active}
    assert set(submission.ACTIVE) == {
        *(state for state in SubmissionState if state.is_active),
        SubmissionState.VERIFYING,
    }


def test_a_final_state_is_not_active_and_only_a_void_submission_does_not_count() -> None:
    assert not [state for state in (*SubmissionState, *ExperimentState) if state.is_active and state.is_final]
    assert [state for state in SubmissionState if not state.counts] == [SubmissionState.VOID]
