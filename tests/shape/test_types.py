"""mypy checks every file, in strict mode."""

import subprocess
import tomllib
from typing import Any

from mypy.find_sources import create_source_list
from mypy.fscache import FileSystemCache
from mypy.options import Options
from pytest import MonkeyPatch

from tests import ROOT

CONFIGURATION: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]


def test_mypy_sees_every_file(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    options = Options()
    options.exclude = CONFIGURATION.get("exclude", [])
    listed = subprocess.run(["git", "ls-files", "*.py"], capture_output=True, text=True, check=True).stdout.split()
    seen = {source.path for source in create_source_list(CONFIGURATION["files"], options, FileSystemCache())}
    assert not {f"./{path}" for path in listed} - seen


def test_missing_types_are_ignored_only_by_name() -> None:
    assert CONFIGURATION["strict"] is True and "ignore_missing_imports" not in CONFIGURATION
    for override in CONFIGURATION["overrides"]:
        modules = override["module"]
        assert "*" not in modules and "ignore_errors" not in override and "follow_imports" not in override
        ours = [each for each in modules if each.partition(".")[0] in ("gymserve", "grader", "client")]
        assert not ours, f"the product's own modules have no rules of their own: {ours}"
