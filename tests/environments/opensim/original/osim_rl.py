"""Runs osim-rl 3.0.11 itself on a current opensim, to compare our environments with it.

    python osim_rl.py RELEASE < scenarios.json > answers.json

RELEASE is the folder of the unpacked release, which is not changed on disk. These parts are patched at run time:
`gym` is a fake with the two names that osim-rl uses; controls are prescribed by the actuator's name; its two global
generators are one `numpy.random.default_rng(seed)`, like Gymnasium's `np_random`. `scipy.interpolate.interp2d` is
scipy's own (< 1.14), or, without scipy, a linear interpolation of our own.

`Scenario.actions` is shared with the tests; the rest of the file needs only opensim and numpy.
"""

import contextlib
import dataclasses
import json
import random
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Scenario:
    """An environment, its arguments, and the actions to play; each action is repeated for `hold` steps."""

    env: str  # "Arm2D" or "L2M2019"
    seed: int
    steps: int
    every: int  # every Nth observation is recorded
    model: str = "3D"
    difficulty: int = 3
    hold: int = 1
    strength: float = 1.0

    def actions(self) -> np.ndarray:
        """(steps, muscles) float64."""
        muscles = 6 if self.env == "Arm2D" else 22
        drawn = np.random.default_rng(self.seed + 1000).random((self.steps // self.hold + 1, muscles))
        return (drawn * self.strength).repeat(self.hold, axis=0)[: self.steps]


def patch(release: Path) -> None:
    """Makes `import osim` import the release."""
    import opensim

    opensim.Logger.removeFileSink()
    opensim.Logger.setLevelString("Error")
    controller = opensim.PrescribedController
    prescribe, add, names = controller.prescribeControlForActuator, controller.addActuator, []

    def added(self: Any, muscle: Any) -> Any:
        names.append(muscle.getName())
        return add(self, muscle)

    controller.addActuator = added
    controller.prescribeControlForActuator = lambda self, _, function: prescribe(self, names[-1], function)
    gym = types.ModuleType("gym")
    gym.Env = object
    gym.spaces = types.SimpleNamespace(Box=lambda low, high: (low, high))
    sys.modules["gym"] = gym
    try:
        import scipy.interpolate
    except ImportError:
        scipy = types.ModuleType("scipy")
        scipy.interpolate = types.SimpleNamespace(interp2d=_spline)
        sys.modules["scipy"] = scipy
    sys.path.insert(0, str(release))
    from envs.target import v_tgt_field

    theirs = types.ModuleType("numpy")  # with an old numpy an array of one element was still a number
    theirs.__dict__.update(np.__dict__, diff=lambda pair: np.diff(pair)[0])
    v_tgt_field.np = theirs


def _spline(x: np.ndarray, y: np.ndarray, z: np.ndarray, kind: str) -> Any:
    """Replaces `interp2d(kind="linear")` on a grid: one-dimensional interpolation, twice."""
    assert kind == "linear"
    return lambda at_x, at_y: np.array([np.interp(at_y, y, [np.interp(at_x, x, row) for row in z])])


def make(scenario: Scenario) -> Any:
    """Makes osim-rl's environment, with our generators."""
    from osim.env import Arm2DEnv, L2M2019Env

    generator = np.random.default_rng(scenario.seed)
    random.uniform = np.random.uniform = generator.uniform
    if scenario.env == "Arm2D":
        return Arm2DEnv(visualize=False)
    L2M2019Env.model = scenario.model
    return L2M2019Env(visualize=False, difficulty=scenario.difficulty)


def play(scenario: Scenario) -> dict[str, Any]:
    """Plays a scenario: {"rewards", "observations" of every `every`th step, "seconds" of processor time}."""
    env = make(scenario)
    env.reset()
    rewards, observations = [], []
    began = time.process_time()
    for number, action in enumerate(scenario.actions(), 1):
        _, reward, _, _ = env.step(action, obs_as_dict=False)
        rewards.append(float(np.ravel(reward)[0]))
        if number % scenario.every == 0:
            observations.append([float(entry) for entry in env.get_observation()])
    return {"rewards": rewards, "observations": observations, "seconds": time.process_time() - began}


def main() -> None:
    scenarios = [Scenario(**each) for each in json.load(sys.stdin)]
    with contextlib.redirect_stdout(sys.stderr):
        patch(Path(sys.argv[1]))
        answers = [play(scenario) for scenario in scenarios]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
