"""Learn to Move's field of target velocities."""

import math

import numpy as np
import pytest

from gymserve.environments.opensim.target_field import SHAPE, TargetField

ORIGIN = np.zeros(2)


def field(version: int, seed: int = 0) -> TargetField:
    return TargetField(version, np.random.default_rng(seed))


def test_version_0_has_one_velocity_everywhere() -> None:
    seen = field(0).around(np.array([100.0, -3.0]), math.pi / 2)
    assert seen.shape == SHAPE
    np.testing.assert_allclose(seen[0], 0, atol=1e-15)
    np.testing.assert_allclose(seen[1], -1.4)  # a body that faces left must walk to its right


@pytest.mark.parametrize(("version", "angle"), [(1, 0), (2, math.pi / 2), (3, math.pi)])
def test_the_first_target_is_within_its_versions_bounds(version: int, angle: float) -> None:
    for seed in range(20):
        target = field(version, seed).target
        assert target is not None
        assert 5 <= math.hypot(*target) <= 7 and abs(math.atan2(target[1], target[0])) <= angle


@pytest.mark.parametrize("version", [1, 2, 3])
def test_velocities_point_to_the_target_at_walking_speed(version: int) -> None:
    sinks = field(version)
    assert sinks.target is not None
    x, y = np.random.default_rng(1).uniform(-9, 9, (2, 200))
    away = np.stack((sinks.target[0] - x, sinks.target[1] - y))
    distance = np.hypot(*away)
    velocity = sinks.at(x, y)
    speed = np.hypot(*velocity)
    far = distance > 2
    assert (np.sum(velocity * away, 0)[far] / (speed * distance)[far] > 0.99).all()
    assert (speed[far] > 0.75).all() and (speed[far] <= 1.8 + 1e-12).all()
    assert np.hypot(*sinks.at(*sinks.target[:, None])) < 0.2  # the body should stop at the target


def test_the_field_continues_beyond_its_edge() -> None:
    sinks = field(1)
    np.testing.assert_array_equal(
        sinks.at(np.array([1e6]), np.array([0.0])), sinks.at(np.array([20.0]), np.array([0.0]))
    )


def stay(sinks: TargetField, steps: int = 401) -> int:
    """Stays at the target until it counts, or for 4 s; returns the number of steps."""
    assert sinks.target is not None
    place = sinks.target.copy()
    return next((step for step in range(1, steps + 1) if sinks.update(place)), 0)


def test_a_target_counts_after_two_to_four_seconds() -> None:
    sinks = field(3)
    assert not sinks.update(ORIGIN)
    assert 200 <= stay(sinks) <= 401
    assert sinks.reached == 1


def test_leaving_a_target_restarts_its_time() -> None:
    sinks = field(3)
    assert sinks.target is not None
    for _ in range(190):
        assert not sinks.update(sinks.target)
    assert not sinks.update(ORIGIN)
    for _ in range(190):
        assert not sinks.update(sinks.target)


def test_version_3_has_two_targets_and_the_others_unlimited_ones() -> None:
    two = field(3)
    assert stay(two) and stay(two) and not stay(two)
    many = field(2)
    assert all(stay(many) for _ in range(4))
    assert stay(field(0).__class__(1, np.random.default_rng(2)))
