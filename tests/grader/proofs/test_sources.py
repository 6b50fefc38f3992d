"""The sources of non-determinism that an environment uses are recorded, and the clock is moved for it."""

import json
import subprocess
import sys
from typing import Any

import pytest

from gymserve.grader.proofs import sources

MOVED = """
import json, time
time.time, time.time_ns = lambda: 0.5, lambda: 500_000_000
from gymserve.grader.proofs.sources import Sources
Sources(shift_seconds=86_400.0 * 400)
fields = [time.time(), time.time_ns(), time.gmtime()[:6], time.localtime()[:6] == time.localtime(time.time())[:6]]
print(json.dumps([*fields, time.gmtime(0.0)[:6]]))
"""
CALLED = """
import json, sys, time
from gymserve.grader.proofs.sources import Sources
watched = Sources()
watched.watching = True
exec("import time; time.time()", {"__name__": sys.argv[1]})
watched.watching = False
print(json.dumps(sorted(watched.used)))
"""


def output(program: str, *arguments: str) -> Any:
    """What a program prints in a process of its own, since `Sources` patches modules for good."""
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_all_wall_clocks_are_moved_by_the_same_time() -> None:
    moved = 400 * 86_400
    first, later = [1970, 1, 1, 0, 0, 0], [1971, 2, 5, 0, 0, 0]
    assert output(MOVED) == [moved + 0.5, moved * 10**9 + 500_000_000, later, True, first]


@pytest.mark.parametrize(("module", "counts"), [("acrobat", True), ("gymnasium.wrappers", False)])
def test_only_calls_of_the_environments_own_code_count(module: str, counts: bool) -> None:
    assert output(CALLED, module) == ([sources.CLOCK] if counts else [])
