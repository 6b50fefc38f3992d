"""Learn to Move's rewards, by their formulas."""

import math

import pytest

from gymserve.environments.opensim.footsteps import Footsteps

STILL = (0.0, 0.0)


def walk(books: Footsteps, steps: int, **last: bool) -> list[float]:
    """Rewards of steps at 1 m/s where 1.4 m/s is asked, with an effort of 2, the feet in the air."""
    ends = {"walked": False, "reached": False}
    rewards = []
    for step in range(steps):
        ends = {"walked": False, "reached": False} | (last if step == steps - 1 else {})
        rewards.append(books.reward((1.0, 0.0), (1.4, 0.3), 2.0, **ends))
        books.land(False, False)
    return rewards


@pytest.mark.parametrize(("number", "weight"), [(1, 1.0), (2, 3.0)])
def test_a_footstep_is_paid_for_its_time_its_miss_and_its_effort(number: int, weight: float) -> None:
    books = Footsteps(number)
    assert walk(books, 49) == [pytest.approx(0.1)] * 49
    books.land(True, False)
    assert books.count == 1
    paid = books.reward((1.0, 0.0), (1.4, 0.3), 2.0, walked=False, reached=False)
    assert paid == pytest.approx(0.1 + 10 * 0.5 - weight * math.hypot(0.4, 0.3) * 0.5 - 2.0 * 0.5)
    books.land(True, False)  # a foot that stays is no new footstep
    assert books.count == 1 and books.reward(STILL, STILL, 0.0, walked=False, reached=False) == pytest.approx(0.1)


def test_a_finished_first_round_is_worth_ten() -> None:
    assert walk(Footsteps(1), 5, walked=True)[-1] == pytest.approx(10.1)


def test_a_target_is_worth_500_in_the_second_round_alone() -> None:
    assert walk(Footsteps(2), 5, reached=True)[-1] == pytest.approx(500.1)
    assert walk(Footsteps(1), 5, reached=True)[-1] == pytest.approx(0.1)


def test_the_second_rounds_last_footstep_counts_for_who_has_walked() -> None:
    for footsteps, paid in ((5, False), (6, True)):
        books = Footsteps(2)
        for _ in range(footsteps):
            books.land(False, False)
            books.land(True, False)
        books.reward(STILL, STILL, 0.0, walked=False, reached=False)
        books.land(False, False)
        last = walk(books, 10, walked=True)[-1]
        assert (last > 0.1 + 1e-9) is paid
