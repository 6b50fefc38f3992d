"""A background process works while there is something to do, and a little longer."""

import itertools
import time

import pytest

from gymserve.protocol.errors import Unavailable
from gymserve.system import background


def test_it_ends_when_there_was_nothing_to_do_for_a_while() -> None:
    answers = itertools.chain([False, True, True], itertools.repeat(False))
    looks: list[float] = []

    def look() -> bool:
        looks.append(time.monotonic())
        return next(answers)

    background.work(look, idle_seconds=0.2, pause=0.01)
    assert len(looks) > 5 and time.monotonic() - looks[2] >= 0.2


def test_it_looks_again_where_the_database_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
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
