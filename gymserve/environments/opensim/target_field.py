"""Learn to Move's field of target velocities: the direction and speed to walk at, for every place on the ground.

Source: osim-rl 3.0.11, `envs/target/v_tgt_field.py`. The plane's axes are x forward and y to the left, in m.
"""

import math
from typing import NamedTuple

import numpy as np

from gymserve.environments.opensim.physics.simulation import STEP_SECONDS
from gymserve.environments.opensim.physics.snapshots import SavedTask

SHAPE = (2, 11, 11)  # velocity's component, place ahead, place to the left
REACH = 20.0  # m from the body, when the field was drawn, to its edge; the edge's velocities continue beyond it
PER_METRE = 2
SLOW, FAST = 0.8, 1.8  # m/s
CONSTANT = (1.4, 0.0)  # m/s, of version 0
TARGET_RADIUS = 0.3  # m
BRAKING_DISTANCE = 1.0  # m


class Version(NamedTuple):
    """The targets of a version: their distance (m), their largest angle to either side (rad), and their number."""

    distance: tuple[float, float]
    angle: float
    targets: float


VERSIONS = {
    1: Version((5, 7), 0.0, math.inf),
    2: Version((5, 7), math.pi / 2, math.inf),
    3: Version((5, 7), math.pi, 2),
}


class TargetField:
    """The field of an episode; reaching a target draws the next one.

    Args:
        version: 0: a constant velocity; 1: targets ahead; 2: within ±90°; 3: within ±180°, two of them.
        generator: draws the targets.
    """

    def __init__(self, version: int, generator: np.random.Generator) -> None:
        self.version = VERSIONS.get(version)
        self._generator = generator
        self._target_seconds = 0.0
        self.reached = 0
        self._chosen_at: list[
            list[float]
        ] = []  # positions of the body when a target was reached and the next one drawn
        self.target: np.ndarray | None = None  # (2,) m
        near = np.arange(-5.0, 6.0)
        self._ahead, self._left = (grid.ravel() for grid in np.meshgrid(near, near, indexing="ij"))
        if self.version is None:
            self.velocities = np.broadcast_to(np.reshape(CONSTANT, (2, 1, 1)), (2, 2, 2))
            self._corner, self._points = np.zeros(2), 2
        else:
            self._heading = 0.0
            self._choose_target(np.zeros(2), np.zeros(2))

    def _choose_target(self, last: np.ndarray, body: np.ndarray) -> None:
        """Draws the next target relative to the last one, and the field around the body."""
        assert self.version is not None
        distance = self._generator.uniform(*self.version.distance)
        self._heading += self._generator.uniform(-self.version.angle, self.version.angle)
        self.target = last + distance * np.array([math.cos(self._heading), math.sin(self._heading)])
        phase = self._generator.uniform(-math.pi, math.pi)
        self._stay_seconds = self._generator.uniform(2, 4)
        self._points = int(2 * REACH * PER_METRE) + 1
        self._corner = body - REACH
        steps = np.arange(self._points) / PER_METRE
        self.velocities = _towards(self.target, self._corner[0] + steps, self._corner[1] + steps, body, phase)

    def update(self, body: np.ndarray) -> bool:
        """Whether the body has just stayed at the target for long enough; if so, draws the next one, if there is one.

        Args:
            body: (2,) m, the position of the pelvis.
        """
        if self.version is None or self.target is None:
            return False
        near = math.hypot(*(self.target - body)) < TARGET_RADIUS
        self._target_seconds = self._target_seconds + STEP_SECONDS if near else 0.0
        if self._target_seconds <= self._stay_seconds or self.reached >= self.version.targets:
            return False
        self.reached += 1
        self._target_seconds = 0.0
        if self.reached < self.version.targets:
            self._chosen_at.append(body.tolist())
            self._choose_target(self.target, body)
        return True

    def save(self) -> SavedTask:
        """The state as plain data, for `restore`."""
        return [self.reached, self._target_seconds, self._chosen_at]

    def restore(self, saved: SavedTask) -> None:
        """Restores the state that `save` returned, in a new field, by drawing the same targets again."""
        self.reached, self._target_seconds, self._chosen_at = saved
        for place in self._chosen_at:
            assert self.target is not None
            self._choose_target(self.target, np.array(place))

    def at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Target velocities at places, in the ground's frame: (2, places) m/s, linear between the field's points.

        Args:
            x, y: (places,) m.
        """
        last = self._points - 1
        across = ((x - self._corner[0]) * PER_METRE).clip(0, last)
        along = ((y - self._corner[1]) * PER_METRE).clip(0, last)
        i = np.minimum(across.astype(int), last - 1)
        j = np.minimum(along.astype(int), last - 1)
        u, v, field = across - i, along - j, self.velocities
        below = field[:, i, j] * (1 - u) + field[:, i + 1, j] * u
        above = field[:, i, j + 1] * (1 - u) + field[:, i + 1, j + 1] * u
        velocities: np.ndarray = below * (1 - v) + above * v
        return velocities

    def around(self, body: np.ndarray, yaw: float) -> np.ndarray:
        """Target velocities 1 m apart around the body, in its own frame: `SHAPE` m/s.

        Args:
            body: (2,) m.
            yaw: rad, the direction that it faces.
        """
        cosine, sine = math.cos(yaw), math.sin(yaw)
        x = cosine * self._ahead - sine * self._left + body[0]
        y = sine * self._ahead + cosine * self._left + body[1]
        ground_x, ground_y = self.at(x, y)
        return np.stack((cosine * ground_x + sine * ground_y, -sine * ground_x + cosine * ground_y)).reshape(SHAPE)


def _towards(target: np.ndarray, x: np.ndarray, y: np.ndarray, body: np.ndarray, phase: float) -> np.ndarray:
    """The field of a sink: (2, len(x), len(y)) m/s towards it, with one sine wave of speed between it and the body."""
    across, along = np.meshgrid(target[0] - x, target[1] - y, indexing="ij")
    distance = np.hypot(across, along)
    whole = math.hypot(*(target - body))
    wave = (FAST - SLOW) / 2 * np.sin(phase + np.maximum(distance, BRAKING_DISTANCE) / whole * 2 * math.pi)
    speed = np.where(distance > whole + BRAKING_DISTANCE, FAST, wave + (SLOW + FAST) / 2)
    speed = speed * np.minimum(distance / BRAKING_DISTANCE, 1.0)
    return np.stack((across, along)) * (speed / np.maximum(distance, 1e-12))
