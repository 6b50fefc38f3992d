"""The tests' durations: python -m tests.support.costs prints rooms, slowest tests and slowest fixtures of the last run."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from time import monotonic  # by its own name: tests replace time.monotonic
from typing import Any

import pytest

from tests import ROOT

NAME = "tests/costs"  # in pytest's cache
FILE = ROOT / ".pytest_cache" / "v" / NAME


class Costs:
    """Records the duration of each test and fixture, in all processes of a run."""

    def __init__(self) -> None:
        self.tests: Counter[str] = Counter()
        self.fixtures: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.tests[report.nodeid] += report.duration

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[None]:
        began = monotonic()
        try:
            return (yield)
        finally:
            self.fixtures[fixturedef.argname] += monotonic() - began

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.fixtures.update(getattr(node, "workeroutput", {}).get("fixtures", {}))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["fixtures"] = dict(self.fixtures)
        elif self.tests and getattr(session.config, "cache", None) is not None:
            session.config.cache.set(NAME, {"tests": self.tests, "fixtures": self.fixtures})


def room(test: str) -> str:
    """The folder of a test below `tests`."""
    parts = test.partition("::")[0].split("/")
    return parts[1] if len(parts) > 2 else "(top)"


def report(tests: dict[str, float], fixtures: dict[str, float]) -> Iterator[str]:
    """The lines of the tables."""
    whole = sum(tests.values())
    rooms: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for test, seconds in tests.items():
        rooms[room(test)] += seconds
        counts[room(test)] += 1
    yield f"{'room':16} {'tests':>6} {'seconds':>8} {'share':>6}"
    for name, seconds in rooms.most_common():
        yield f"{name:16} {counts[name]:6} {seconds:8.1f} {seconds / whole:6.1%}"
    yield f"{'all':16} {len(tests):6} {whole:8.1f}  (sum over all processes, including set-up)"
    yield "\nthe slowest tests"
    yield from (f"{seconds:8.1f}  {test}" for test, seconds in Counter(tests).most_common(10))
    yield "\nthe slowest fixtures, sums over all set-ups"
    yield from (f"{seconds:8.1f}  {name}" for name, seconds in Counter(fixtures).most_common(10))


def main() -> int:
    try:
        recorded = json.loads(FILE.read_text())
    except OSError:
        print("no run was recorded: run python -m pytest first", file=sys.stderr)
        return 1
    print("\n".join(report(recorded["tests"], recorded["fixtures"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
