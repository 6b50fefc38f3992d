"""Every row of docs/guarantees.md has a test, and every room has tests in the default part; checked in the tests' source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests import ROOT

TESTS = ROOT / "tests"
ROW = re.compile(r"^\| (.+?) \| .+ \| (.*`tests/.+) \|$", re.M)


class Case(NamedTuple):
    """A test function and its marks."""

    file: str
    name: str
    rows: frozenset[str]
    long: bool


def rows() -> dict[str, set[str]]:
    """First column of the table → the files that test it."""
    page = (TESTS.parent / "docs" / "guarantees.md").read_text()
    return {first: set(re.findall(r"`(tests/[\w/]+\.py)`", files)) for first, files in ROW.findall(page)}


def marks(node: ast.AST) -> Iterator[tuple[str, list[ast.expr]]]:
    """The name and the arguments of each `pytest.mark.…` in an expression."""
    calls = {id(call.func): call.args for call in ast.walk(node) if isinstance(call, ast.Call)}
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and ast.unparse(each.value) == "pytest.mark":
            yield each.attr, calls.get(id(each), [])


def cases(path: Path) -> Iterator[Case]:
    """The tests of a file; a test is long if a decorator, its class or its module says so."""
    module = ast.parse(path.read_text())
    outer: list[ast.AST] = [
        node.value
        for node in module.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    texts = {
        ast.unparse(node.targets[0]): node.value.value
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    bodies = [(outer, module.body)]
    bodies += [([*outer, *node.decorator_list], node.body) for node in module.body if isinstance(node, ast.ClassDef)]
    for around, body in bodies:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                every = [mark for each in (*around, *node.decorator_list) for mark in marks(each)]
                named = [
                    texts.get(ast.unparse(each), each) for name, args in every if name == "guarantee" for each in args
                ]
                named = [each if isinstance(each, str) else ast.literal_eval(each) for each in named]
                # A mark within `parametrize` belongs to one parameter: the others stay in the default part.
                own = [
                    mark for each in (*around, *node.decorator_list) if not _parametrizes(each) for mark in marks(each)
                ]
                file = path.relative_to(TESTS.parent).as_posix()
                yield Case(file, node.name, frozenset(named), "long" in dict(own))


def _parametrizes(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.parametrize"


ALL = [case for path in sorted(TESTS.rglob("test_*.py")) for case in cases(path)]


def test_every_row_has_a_test_in_the_default_part() -> None:
    proven = {(row, case.file) for case in ALL for row in case.rows if not case.long}
    unproven = [row for row, files in rows().items() if not any((row, file) in proven for file in files)]
    assert len(rows()) > 50 and not unproven, f"no default test is marked with these rows: {unproven}"


def test_every_file_that_a_row_names_exists() -> None:
    assert all((TESTS.parent / file).is_file() for files in rows().values() for file in files)


def test_every_mark_names_a_row() -> None:
    unknown = [(case.file, row) for case in ALL for row in case.rows if row not in rows()]
    assert not unknown


def test_every_room_has_a_default_part() -> None:
    rooms = {path.parent for path in TESTS.rglob("test_*.py")}
    default = {TESTS.parent / case.file for case in ALL if not case.long}
    assert all(any(file.parent == room for file in default) for room in rooms)
