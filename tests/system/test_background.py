"""A background process runs while there is work, and a little longer."""

import itertools
import time

import pytest

from gymserve.protocol.errors import Unavailable
from gymserve.system import background


def test_it_ends_after_a_while_without_work() -> None:
    answers = itertools.chain([False, True, True], itertools.repeat(False))
    looks: list[float] = []

    def look() -> bool:
        looks.append(time.monotonic())
        return next(answers)

    background.work(look, idle_seconds=0.2, pause=0.01)
    assert len(looks) > 5 and time.monotonic() - looks[2] >= 0.2


def test_it_looks_again_after_the_database_was_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "AWAY_SECONDS", 0.01)
    outcomes = iter([Unavailable("away"), True])
    looks = 0

    def look() -> bool:
        nonlocal looks
        looks += 1
        if isinstance(outcome := next(outcomes, False), Unavailable):
            raise outcome
        return bool(outcome)

    background.work(look, idle_seconds=0.1, pause=0.01)
    assert looks > 2
