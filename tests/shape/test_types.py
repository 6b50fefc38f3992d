"""mypy checks every file, in strict mode."""

import subprocess
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from mypy.find_sources import create_source_list
from mypy.fscache import FileSystemCache
from mypy.options import Options
from pytest import MonkeyPatch

from tests import ROOT

CONFIGURATION: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]


def test_mypy_sees_every_file_once(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    options = Options()
    options.exclude = CONFIGURATION.get("exclude", [])
    listed = subprocess.run(["git", "ls-files", "*.py"], capture_output=True, text=True, check=True).stdout.split()
    modules = create_source_list(CONFIGURATION["files"], options, FileSystemCache())
    seen = Counter(Path(str(each.path)).resolve() for each in modules)  # gymserve/client is a link
    assert not [path for path in listed if seen[(ROOT / path).resolve()] != 1]
    assert {"gymserve.client.v1", "gymserve.grader.scores.scoring"} <= {each.module for each in modules}


def test_missing_types_are_ignored_only_by_name() -> None:
    assert CONFIGURATION["strict"] is True and "ignore_missing_imports" not in CONFIGURATION
    for override in CONFIGURATION["overrides"]:
        modules = override["module"]
        assert "*" not in modules and "ignore_errors" not in override and "follow_imports" not in override
        ours = [each for each in modules if each.partition(".")[0] == "gymserve"]
        assert not ours, f"the product's own modules have no rules of their own: {ours}"
