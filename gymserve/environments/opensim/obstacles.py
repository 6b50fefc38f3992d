"""Learning to Run's course: balls partly in the ground, and the strength of the runner's psoas muscles.

Source: osim-rl 1.5 (September 2017), `osim/env/run.py`, `generate_env` and `create_obstacles`.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gymserve.environments.opensim.physics.simulation import library

if TYPE_CHECKING:
    import opensim

MOST = 20
NEAR = 3  # obstacles in the first 5 m
FEET = ("r_heel", "l_heel", "r_toe", "l_toe")


class Obstacle(NamedTuple):
    """A ball's centre and radius, in m."""

    x: float
    y: float
    radius: float


NONE = Obstacle(100.0, 0.0, 0.0)


class Course(NamedTuple):
    """Obstacles from near to far, and the psoas muscles' strength relative to the model's."""

    obstacles: tuple[Obstacle, ...] = ()
    right: float = 1.0
    left: float = 1.0

    def next(self, x: float) -> Obstacle:
        """The first obstacle that is not behind `x`, relative to `x`."""
        ahead = (each for each in self.obstacles if each.x + each.radius >= x)
        first = next(ahead, None)
        return NONE if first is None else first._replace(x=first.x - x)

    def build(self, model: "opensim.Model") -> None:
        """Adds the course to a model."""
        opensim = library()
        for side, strength in (("r", self.right), ("l", self.left)):
            muscle = model.getMuscles().get(f"iliopsoas_{side}")
            muscle.setMaxIsometricForce(muscle.getMaxIsometricForce() * strength)
        for number, (x, y, radius) in enumerate(self.obstacles):
            ball = opensim.ContactSphere(radius, opensim.Vec3(x, y, 0), model.getGround(), f"obstacle_{number}")
            force = opensim.HuntCrossleyForce()
            force.setName(f"obstacle_{number}_force")
            for geometry in (f"obstacle_{number}", *FEET):
                force.addGeometry(geometry)
            force.setStiffness(1.0e6 / radius)
            force.setDissipation(1e-5)
            force.setStaticFriction(0.0)
            force.setDynamicFriction(0.0)
            force.setViscousFriction(0.0)
            for component in (ball, force):
                component.thisown = False  # the model owns and deletes it
            model.addContactGeometry(ball)
            model.addForce(force)


def draw(difficulty: int, most: int, generator: np.random.Generator) -> Course:
    """Draws a course.

    Args:
        difficulty: 0: nothing; 1: obstacles; 2: also weaker or stronger psoas muscles.
        most: number of obstacles; the first three are at U(1, 5) m, the others U(2, 4) m apart from 5 m on.
    """
    if difficulty == 0:
        return Course()
    near, far = min(NEAR, most), max(most - NEAR, 0)
    xs = np.concatenate((generator.uniform(1.0, 5.0, near), 5 + np.cumsum(generator.uniform(2.0, 4.0, far))))
    heights = np.concatenate((generator.uniform(-0.25, 0.25, near), generator.uniform(-0.05, 0.25, far)))
    radii = 0.05 + generator.exponential(0.05, near + far)
    obstacles = sorted(map(Obstacle, xs.tolist(), (heights * radii).tolist(), radii.tolist()))
    if difficulty == 1:
        return Course(tuple(obstacles))
    right, left = (max(0.5, 1 - generator.normal(0, 0.1)) for _ in range(2))
    return Course(tuple(obstacles), right, left)
