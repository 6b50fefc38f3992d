"""An episode continues from a snapshot exactly."""

import json
import time
from typing import Any

import gymnasium
import numpy as np
import pytest

from gymserve.environments import opensim
from gymserve.environments.opensim.learn_to_move import LearnToMove
from gymserve.environments.opensim.physics.simulation import SimulationFailed

opensim.register()
CASES: tuple[Any, ...] = (
    ("osim/Arm2D-v0", {}),
    ("osim/L2M2019-v0", {"integrator_accuracy": 1e-3}),
    pytest.param(
        "osim/L2M2019-v0",
        {"model": "2D", "difficulty": 1, "observation": "dict", "integrator_accuracy": 1e-3},
        marks=pytest.mark.long,
    ),
    pytest.param("osim/Prosthetics-v0", {"difficulty": 1, "integrator_accuracy": 1e-3}, marks=pytest.mark.long),
    ("osim/Run-v0", {}),
)


def make(env_id: str, **kwargs: Any) -> Any:
    return gymnasium.make(env_id, disable_env_checker=True, **kwargs).unwrapped


def actions(env: Any, steps: int) -> np.ndarray:
    """(steps, muscles) float32, each repeated for ten steps, so that the body moves."""
    drawn = np.random.default_rng(5).random((steps // 10 + 1, env.action_space.shape[0]), np.float32)
    return drawn.repeat(10, axis=0)[:steps]


def flat(observation: Any) -> list[np.ndarray]:
    if isinstance(observation, dict):
        return [each for part in observation.values() for each in flat(part)]
    return [np.asarray(observation)]


@pytest.mark.parametrize(("env_id", "kwargs"), CASES)
def test_it_continues_exactly(env_id: str, kwargs: dict[str, Any]) -> None:
    lived, revived = make(env_id, **kwargs), make(env_id, **kwargs)
    moves = actions(lived, 50)
    lived.reset(seed=1)
    for move in moves[:25]:
        lived.step(move)
    kept = json.dumps(lived.snapshot())
    revived.reset(seed=1)
    revived.restore(json.loads(kept))
    for move in moves[25:]:
        expected, actual = lived.step(move), revived.step(move)
        assert expected[1:] == actual[1:]
        assert all(np.array_equal(a, b) for a, b in zip(flat(expected[0]), flat(actual[0]), strict=True))
    assert json.dumps(lived.snapshot()) == json.dumps(revived.snapshot())


def test_reached_targets_are_drawn_again() -> None:
    lived, revived = LearnToMove(difficulty=2), LearnToMove(difficulty=2)
    for env in (lived, revived):
        env.reset(seed=4)
    for _ in range(2):
        assert lived.field.target is not None
        place = lived.field.target + 0.01
        while not lived.field.update(place):
            pass
    revived.restore(json.loads(json.dumps(lived.snapshot())))
    assert revived.field.reached == 2 and np.array_equal(revived.field.target, lived.field.target)
    assert np.array_equal(revived.field.velocities, lived.field.velocities)
    assert revived.np_random.bit_generator.state == lived.np_random.bit_generator.state


def test_restoring_is_quick() -> None:
    env = make("osim/L2M2019-v0")
    env.reset(seed=1)
    env.step(np.zeros(22))
    kept = env.snapshot()
    began = time.process_time()
    env.reset(seed=1)
    env.restore(kept)
    assert time.process_time() - began < 0.5


def test_a_snapshot_needs_an_episode_and_the_same_model() -> None:
    arm, walk = make("osim/Arm2D-v0"), make("osim/Prosthetics-v0")
    with pytest.raises(SimulationFailed, match="no episode"):
        arm.snapshot()
    for env in (arm, walk):
        env.reset(seed=1)
    with pytest.raises(ValueError, match="of another model"):
        arm.restore(walk.snapshot())
