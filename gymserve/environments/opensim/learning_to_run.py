"""Run, "Learning to Run" (NIPS 2017): run as far as possible over obstacles.

Source of observation and reward: osim-rl 1.5 (September 2017), `osim/env/run.py`, class `RunEnv`.
"""

import math

import numpy as np

from gymserve.environments.opensim import layout, obstacles
from gymserve.environments.opensim.drawing.canvas import Canvas
from gymserve.environments.opensim.musculoskeletal import Musculoskeletal, Observation, unbounded
from gymserve.environments.opensim.physics import models
from gymserve.environments.opensim.physics.simulation import Simulation, library
from gymserve.protocol.generics import Space

FALLEN = 0.65  # m, height of the pelvis
LIGAMENTS = ("HipLimit_r", "HipLimit_l", "KneeLimit_r", "KneeLimit_l", "AnkleLimit_r", "AnkleLimit_l")
LIGAMENT_WEIGHT = 1e-7  # m/N
OBSTACLE_COLOUR = (205, 126, 62)
JOINTS = ("hip_r", "knee_r", "ankle_r", "hip_l", "knee_l", "ankle_l")
BODIES = ("head", "pelvis", "torso", "toes_l", "toes_r", "talus_l", "talus_r")
_PLACE = {"x": (), "y": ()}
TREE: layout.Tree = {
    "pelvis": {"rotation": (), **_PLACE},
    "d_pelvis": {"rotation": (), **_PLACE},
    "joint": dict.fromkeys(JOINTS, ()),
    "d_joint": dict.fromkeys(JOINTS, ()),
    "mass_center": _PLACE,
    "d_mass_center": _PLACE,
    "body": dict.fromkeys(BODIES, _PLACE),
    "psoas": {"left": (), "right": ()},
    "obstacle": {**_PLACE, "radius": ()},
}


class LearningToRun(Musculoskeletal):
    """The runner of "Learning to Run".

    Args:
        difficulty: 0: level ground; 1: obstacles; 2: also psoas muscles of random strength.
        max_obstacles: the number of obstacles, 3 by default; at the end of 2017 there were 10.
    """

    observation_names = layout.names(TREE)

    def __init__(
        self,
        *,
        difficulty: int = 2,
        max_obstacles: int = 3,
        integrator_accuracy: float = 1e-3,
        observation: str = "vector",
        render_mode: str | None = None,
    ) -> None:
        for name, value, most in (("difficulty", difficulty, 2), ("max_obstacles", max_obstacles, obstacles.MOST)):
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
                raise ValueError(f"{name} must be an integer from 0 to {most}, not {value!r}")
        self.difficulty = difficulty
        self.max_obstacles = max_obstacles
        self.course = obstacles.Course()
        simulation = Simulation(models.path(models.RUN), accuracy=integrator_accuracy)
        super().__init__(simulation, observation=observation, render_mode=render_mode)
        self._look_up_handles()

    def _look_up_handles(self) -> None:
        """Gets handles to parts of the current model."""
        forces, joints = self.simulation.forces, self.simulation.joints
        self._ligaments = [library().CoordinateLimitForce.safeDownCast(forces[name]) for name in LIGAMENTS]
        self._pelvis = joints["ground_pelvis"]
        self._joints = [joints[name][0] for name in JOINTS]

    def _space(self) -> Space:
        return layout.space(TREE) if self.form == "dict" else unbounded(layout.size(TREE))

    def _start(self, options: dict[str, object]) -> None:
        if self.difficulty:
            self.course = obstacles.draw(self.difficulty, self.max_obstacles, self.np_random)
            self.simulation.rebuild(self.course.build)
            self._look_up_handles()
        self.simulation.reset()
        self._x, self._y = self._place()

    def _place(self) -> tuple[float, float]:
        _, x, y = self._pelvis
        return x.getValue(self.simulation.state), y.getValue(self.simulation.state)

    def _reward(self) -> float:
        before = self._x
        self._x, self._y = self._place()
        state = self.simulation.state
        pull = math.sqrt(sum(ligament.calcLimitForce(state) ** 2 for ligament in self._ligaments))
        return self._x - before - LIGAMENT_WEIGHT * pull

    def _fallen(self) -> bool:
        return self._y < FALLEN

    def _restore_task(self, saved: object) -> None:
        self._x, self._y = self._place()

    def _decorate(self, canvas: Canvas) -> None:
        for x, y, radius in self.course.obstacles:
            if abs(x - self._x) < radius + 2.5:
                canvas.ball((x, y, 0.0), radius, OBSTACLE_COLOUR)

    def _observe(self) -> Observation:
        simulation, state = self.simulation, self.simulation.state
        moving = [*self._pelvis, *self._joints]
        values = [coordinate.getValue(state) for coordinate in moving]
        speeds = [coordinate.getSpeedValue(state) for coordinate in moving]
        entries = values[:3] + speeds[:3] + values[3:] + speeds[3:]
        for centre in (simulation.model.calcMassCenterPosition(state), simulation.model.calcMassCenterVelocity(state)):
            entries += [centre.get(0), centre.get(1)]
        for body in BODIES:
            entries += simulation.position(body)[:2]
        entries += [self.course.left, self.course.right, *self.course.next(self._x)]
        vector = np.array(entries)
        return layout.unfold(TREE, vector) if self.form == "dict" else vector
