"""Modules that a string names, and files that a page names, exist; mypy and ruff do not check those."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT

OURS = r"(?:gymserve|tests|benchmarks)"
NAME = re.compile(rf"{OURS}(?:\.\w+)+\.?(?::\w+)?")
WITHIN = re.compile(rf"(?:-m |^from |^import |; from |; import )({OURS}(?:\.\w+)+)", re.M)  # a longer text
NAMES = re.compile(rf"from ({OURS}(?:\.\w+)*) import (\w+(?:, \w+)*)")  # in a program that a test runs
PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|toml|md))`")
NOT_MODULES = {
    "gymserve.db", "gymserve.test", "gymserve.test:80", "tests.no_such_module",
    "gymserve.request_id", "gymserve.began", "gymserve.requests", "gymserve.supervisor",
}  # fmt: skip
RESOLVE = """
import importlib.util, pkgutil, re, sys
load = getattr(importlib if sys.argv[1] == "import_module" else importlib.util, sys.argv[1])
for name in sys.argv[3:]:
    try:
        loaded = None
        try:
            loaded = load(name)
        except ModuleNotFoundError as error:
            if not re.match(sys.argv[2], error.name or ""):
                continue  # it exists, and needs a package that is not installed here
        if loaded is None:
            pkgutil.resolve_name(name)  # an attribute, for example the class that gunicorn imports by its dotted name
    except Exception as error:
        print(name, repr(error))
"""


def tracked(*suffixes: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in listed.stdout.split("\0") if name and "/vendor/" not in name]
    return [file for file in files if file.is_file() and file.suffix in suffixes]


def strings(tree: ast.AST) -> Iterator[str]:
    """Every string of a program except the names of loggers."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    loggers = {id(call.args[0]) for call in calls if ast.unparse(call.func) == "logging.getLogger" and call.args}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in loggers:
            if isinstance(node.value, str):
                yield node.value
            elif isinstance(node.value, bytes):
                yield node.value.decode("latin-1")


def named_modules() -> dict[str, set[str]]:
    """Module, or `module:attribute` → the files that name it in a string."""
    names: dict[str, set[str]] = {}
    for file in tracked(".py", ".md", ".toml", ".html", ".yaml", ""):
        text = file.read_text()
        texts = strings(ast.parse(text)) if file.suffix == ".py" else [text]
        for each in texts:
            imported = [f"{module}.{name}" for module, some in NAMES.findall(each) for name in some.split(", ")]
            for name in [each] if NAME.fullmatch(each) else [*WITHIN.findall(each), *imported]:
                names.setdefault(name.rstrip("."), set()).add(str(file.relative_to(ROOT)))
    return {name: files for name, files in names.items() if name not in NOT_MODULES}


@pytest.mark.parametrize("how", ["find_spec", pytest.param("import_module", marks=pytest.mark.long)])
def test_every_module_that_a_string_names_exists(how: str) -> None:
    names = named_modules()
    assert len(names) > 50 and {"gymserve.hosts.supervisor", "gymserve.grader.server.submissions.worker"} <= set(names)
    command = [sys.executable, "-c", RESOLVE, how, rf"{OURS}\b", *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    missing = done.stdout.splitlines()
    assert not missing, [f"{line}, named in {', '.join(names[line.split()[0]])}" for line in missing]


def started_modules() -> Iterator[str]:
    """The modules that `python -m` starts, in text and in lists of arguments."""
    for file in tracked(".py", ".md", ".toml", ".yaml", ""):
        text = file.read_text()
        yield from re.findall(rf"-m ({OURS}(?:\.\w+)*)", text)
        yield from re.findall(rf"\"-m\",\s*\"({OURS}(?:\.\w+)*)\"", text)
        yield from re.findall(rf"\b(?:BackgroundProcess|interpreters\.command)\(\s*\"({OURS}(?:\.\w+)*)\"", text)


def test_every_module_that_is_started_is_a_program() -> None:
    started = set(started_modules())
    assert {"gymserve.hosts.supervisor", "gymserve.grader.server.submissions.worker", "gymserve.settings"} <= started
    for name in started:
        path = ROOT / name.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), f"python -m {name}"


def test_every_file_that_a_page_names_exists() -> None:
    tops = {path.name for top in (ROOT, ROOT / "gymserve") for path in top.iterdir()}
    for page in tracked(".md"):
        for path in PATH.findall(page.read_text()):
            places = (ROOT / path, ROOT / "gymserve" / path, page.parent / path)
            known = path.split("/")[0] in tops and page.name != "CHANGELOG.md"
            assert not known or any(place.exists() for place in places), f"{page.name} names {path}"
