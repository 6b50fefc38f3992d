"""Learn to Move's rewards follow their formulas."""

import math

import pytest

from gymserve.environments.opensim.footsteps import Footsteps

STILL = (0.0, 0.0)


def walk(footsteps: Footsteps, steps: int, **last: bool) -> list[float]:
    """Returns the rewards of steps at (1, 0) m/s where (1.4, 0.3) is wanted, with an effort of 2 and both feet in the air."""
    rewards = []
    for step in range(steps):
        ends = {"walked": False, "reached": False} | (last if step == steps - 1 else {})
        rewards.append(footsteps.reward((1.0, 0.0), (1.4, 0.3), 2.0, **ends))
        footsteps.land(False, False)
    return rewards


@pytest.mark.parametrize(("number", "weight"), [(1, 1.0), (2, 3.0)])
def test_a_footstep_is_rewarded_by_time_velocity_and_effort(number: int, weight: float) -> None:
    footsteps = Footsteps(number)
    assert walk(footsteps, 49) == [pytest.approx(0.1)] * 49
    footsteps.land(True, False)
    assert footsteps.count == 1
    reward = footsteps.reward((1.0, 0.0), (1.4, 0.3), 2.0, walked=False, reached=False)
    assert reward == pytest.approx(0.1 + 10 * 0.5 - weight * math.hypot(0.4, 0.3) * 0.5 - 2.0 * 0.5)
    footsteps.land(True, False)  # a foot that stays on the ground is not a new footstep
    assert footsteps.count == 1
    assert footsteps.reward(STILL, STILL, 0.0, walked=False, reached=False) == pytest.approx(0.1)


def test_a_finished_first_round_is_worth_ten() -> None:
    assert walk(Footsteps(1), 5, walked=True)[-1] == pytest.approx(10.1)


def test_a_reached_target_is_worth_500_only_in_the_second_round() -> None:
    assert walk(Footsteps(2), 5, reached=True)[-1] == pytest.approx(500.1)
    assert walk(Footsteps(1), 5, reached=True)[-1] == pytest.approx(0.1)


def test_the_second_rounds_last_footstep_counts_after_five_others() -> None:
    for count, is_rewarded in ((5, False), (6, True)):
        footsteps = Footsteps(2)
        for _ in range(count):
            footsteps.land(False, False)
            footsteps.land(True, False)
        footsteps.reward(STILL, STILL, 0.0, walked=False, reached=False)
        footsteps.land(False, False)
        last = walk(footsteps, 10, walked=True)[-1]
        assert (last > 0.1 + 1e-9) is is_rewarded
