"""Prosthetics, "AI for Prosthetics" (NeurIPS 2018): walk at a target velocity with a prosthesis.

Source of observation and reward: osim-rl 2.1 (October 2018), `osim/env/osim.py`, class `ProstheticsEnv`.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from gymserve.environments.opensim import layout
from gymserve.environments.opensim.description import StateDescription
from gymserve.environments.opensim.drawing import ground
from gymserve.environments.opensim.drawing.canvas import Canvas
from gymserve.environments.opensim.musculoskeletal import Musculoskeletal, Observation, unbounded
from gymserve.environments.opensim.physics import models
from gymserve.environments.opensim.physics.simulation import Simulation
from gymserve.protocol.generics import Space

if TYPE_CHECKING:
    import opensim

FALLEN = 0.6  # m, height of the pelvis
STEPS = {0: 300, 1: 1000}
BODIES = ("head", "torso", "toes_l", "toes_r", "talus_l", "talus_r")
LOST_WITH_THE_LEG = ("toes_r", "talus_r")
JOINTS = ("ankle_l", "ankle_r", "back", "hip_l", "hip_r", "knee_l", "knee_r")
SPEED = 3.0  # m/s, of difficulty 0
FIRST_SPEED = 1.25  # m/s, of difficulty 1
CHANGE_STEPS = 300  # mean number of steps between two changes of the target
_BODY = (
    "x", "y", "velocity x", "velocity y", "acceleration x", "acceleration y",
    "rotation z", "angular velocity z", "angular acceleration z",
)  # fmt: skip


class Prosthetics(Musculoskeletal):
    """The walker of "AI for Prosthetics".

    At difficulty 1, `info["target_vel"]` is the target velocity, (forward, 0, to the right) m/s.

    Args:
        model: "3D" or "2D"; the latter cannot fall sideways.
        prosthetic: whether a prosthesis replaces the right leg below the knee: 19 muscles; else 22.
        difficulty: 0: 3 m/s forward, 300 steps; 1: a velocity that changes, 1,000 steps.
    """

    def __init__(
        self,
        *,
        model: str = "3D",
        prosthetic: bool = True,
        difficulty: int = 0,
        integrator_accuracy: float = 5e-5,
        observation: str = "vector",
        render_mode: str | None = None,
    ) -> None:
        if model not in ("3D", "2D"):
            raise ValueError(f"model must be '3D' or '2D', not {model!r}")
        if not isinstance(prosthetic, bool):
            raise ValueError(f"prosthetic must be true or false, not {prosthetic!r}")
        if isinstance(difficulty, bool) or difficulty not in STEPS:
            raise ValueError(f"difficulty must be 0 or 1, not {difficulty!r}")
        self.prosthetic = prosthetic
        self.difficulty = int(difficulty)
        simulation = Simulation(models.path(models.WALK[model, prosthetic]), accuracy=integrator_accuracy)
        self._joints = {name: simulation.joints[name] for name in JOINTS}
        self._muscles = sorted(simulation.muscles, key=lambda muscle: str(muscle.getName()))
        self._bodies = {name: simulation.bodies[name] for name in BODIES if name in simulation.bodies}
        self.observation_names = self._names()
        self.description = StateDescription(simulation)
        self._tree = {**self.description.tree, **({"target_vel": (3,)} if self.difficulty else {})}
        super().__init__(simulation, limit=STEPS[self.difficulty], observation=observation, render_mode=render_mode)

    def _names(self) -> tuple[str, ...]:
        coordinates = {
            name: [f"{name} {coordinate.getName()}" if len(joint) > 1 else name for coordinate in joint]
            for name, joint in self._joints.items()
        }
        return (
            *(f"pelvis {what}" for what in _BODY[1:]),
            *(f"{body} {what}" for body in BODIES for what in _BODY),
            *(
                f"{each} {what}"
                for name in JOINTS
                for what in ("position", "velocity", "acceleration")
                for each in coordinates[name]
            ),
            *(
                f"{muscle.getName()} {what}"
                for muscle in self._muscles
                for what in ("activation", "fiber length", "fiber velocity")
            ),
            "mass centre x", "mass centre y",
            *(f"mass centre {what} {axis}" for what in ("velocity", "acceleration") for axis in "xyz"),
        )  # fmt: skip

    def _space(self) -> Space:
        return layout.space(self._tree) if self.form == "dict" else unbounded(len(self.observation_names))

    def _start(self, options: dict[str, object]) -> None:
        self._targets = self._draw_targets()
        self.simulation.reset()

    def _draw_targets(self) -> np.ndarray:
        """Draws the target velocity of each step, (limit + 1, 3) m/s; it changes at cumulative Poisson(300) steps.

        A change adds U(-0.5, 0.5) m/s to the speed and U(-π/8, π/8) to the heading.
        """
        assert self.limit is not None
        speed, heading = np.full(self.limit + 1, FIRST_SPEED), np.zeros(self.limit + 1)
        for step in np.cumsum(self.np_random.poisson(CHANGE_STEPS, 10)):
            speed[step:] += self.np_random.uniform(-0.5, 0.5)
            heading[step:] += self.np_random.uniform(-math.pi / 8, math.pi / 8)
        return np.stack((speed * np.cos(heading), np.zeros_like(speed), speed * np.sin(heading)), axis=1)

    @property
    def target(self) -> np.ndarray:
        """The current target velocity, (3,) m/s."""
        target: np.ndarray = self._targets[min(self.simulation.steps, len(self._targets) - 1)]
        return target

    def _reward(self) -> float:
        x, _, z = self.simulation.velocity("pelvis")
        if self.difficulty == 0:
            return 9.0 - (x - SPEED) ** 2
        wanted_x, _, wanted_z = self.target.tolist()
        effort = float(np.square(self.simulation.activations()).sum())
        return 10.0 - 0.001 * effort - (x - wanted_x) ** 2 - (z - wanted_z) ** 2

    def _fallen(self) -> bool:
        return self.simulation.position("pelvis")[1] < FALLEN

    def _info(self) -> dict[str, object]:
        return {"target_vel": self.target.tolist()} if self.difficulty else {}

    def _decorate(self, canvas: Canvas) -> None:
        """Draws the target velocity as an arrow on the ground."""
        x, _, z = self.simulation.position("pelvis")
        wanted = self.target if self.difficulty else np.array([SPEED, 0.0, 0.0])
        ground.arrows(canvas, np.array([[x, z]]), wanted[None, [0, 2]], length=0.3, width=3)

    def _observe(self) -> Observation:
        if self.form == "dict":
            read = self.description.read()
            return layout.unfold(self._tree, np.concatenate((read, self.target)) if self.difficulty else read)
        state = self.simulation.state
        pelvis = self._planar(self.simulation.bodies["pelvis"])
        entries = pelvis[1:]
        for name in BODIES:
            if self.prosthetic and name in LOST_WITH_THE_LEG:
                entries += [0.0] * len(_BODY)
                continue
            body = self._planar(self._bodies[name])
            for place in (0, 1, 6):  # relative to the pelvis
                body[place] -= pelvis[place]
            entries += body
        for joint in self._joints.values():
            entries += [coordinate.getValue(state) for coordinate in joint]
            entries += [coordinate.getSpeedValue(state) for coordinate in joint]
            entries += [coordinate.getAccelerationValue(state) for coordinate in joint]
        for muscle in self._muscles:
            entries += [muscle.getActivation(state), muscle.getFiberLength(state), muscle.getFiberVelocity(state)]
        return np.array(entries + self._mass_centre(state, pelvis))

    def _mass_centre(self, state: object, pelvis: list[float]) -> list[float]:
        model = self.simulation.model
        place = model.calcMassCenterPosition(state)
        velocity, acceleration = model.calcMassCenterVelocity(state), model.calcMassCenterAcceleration(state)
        return [
            place.get(0) - pelvis[0],
            place.get(1) - pelvis[1],
            *(each.get(axis) for each in (velocity, acceleration) for axis in range(3)),
        ]

    def _planar(self, body: "opensim.Body") -> list[float]:
        """x, y; their velocities; their accelerations; rotation about z, its velocity and acceleration."""
        state = self.simulation.state
        transform = body.getTransformInGround(state)
        place, velocity, acceleration = (
            transform.p(),
            body.getVelocityInGround(state),
            body.getAccelerationInGround(state),
        )
        turning, moving = velocity.get(0), velocity.get(1)
        turning_faster, moving_faster = acceleration.get(0), acceleration.get(1)
        return [
            place.get(0), place.get(1), moving.get(0), moving.get(1), moving_faster.get(0), moving_faster.get(1),
            transform.R().convertRotationToBodyFixedXYZ().get(2), turning.get(2), turning_faster.get(2),
        ]  # fmt: skip
