"""Arm2D: an arm of two joints and six muscles that should keep its wrist at a target."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from gymserve.environments.opensim import layout
from gymserve.environments.opensim.description import StateDescription
from gymserve.environments.opensim.drawing.canvas import Canvas
from gymserve.environments.opensim.musculoskeletal import Musculoskeletal, Observation, unbounded
from gymserve.environments.opensim.physics import models
from gymserve.environments.opensim.physics.simulation import Simulation, library
from gymserve.protocol.generics import Space

if TYPE_CHECKING:
    import opensim

JOINTS = ("r_shoulder", "r_elbow")
SEEN_MUSCLES = (
    "BIClong",
    "BICshort",
    "BRA",
    "TRIlat",
    "TRIlong",
    "TRImed",
)  # the observation's order; actions have the model's
WRIST = "r_radius_styloid"
SHOULDER_HEIGHT = 0.8  # m
TARGET_COLOUR = (60, 170, 80)


class Arm2D(Musculoskeletal):
    """The arm; its reward is 1 - |wrist - target|², in m (osim-rl 3.0.11, `osim/env/arm.py`).

    An episode never ends before its time limit.
    """

    observation_names = (
        "target x", "target y",
        *(f"{joint} {what}" for joint in JOINTS for what in ("position", "velocity", "acceleration")),
        *(f"{muscle} activation" for muscle in SEEN_MUSCLES),
        "wrist x", "wrist y",
    )  # fmt: skip

    scale = 270.0
    ground = False

    def __init__(
        self, *, integrator_accuracy: float = 5e-5, observation: str = "vector", render_mode: str | None = None
    ) -> None:
        simulation = Simulation(models.path(models.ARM), accuracy=integrator_accuracy, extend=_add_target)
        self.description = StateDescription(simulation)
        super().__init__(simulation, observation=observation, render_mode=render_mode)
        self.target = (0.0, 0.0)
        self._seen_joints = [simulation.joints[joint][0] for joint in JOINTS]
        by_name = {muscle.getName(): muscle for muscle in simulation.muscles}
        self._seen_muscles = [by_name[name] for name in SEEN_MUSCLES]

    def _space(self) -> Space:
        if self.form == "dict":
            return layout.space({**self.description.tree, "target": (2,)})
        return unbounded(len(self.observation_names))

    def _start(self, options: Mapping[str, object]) -> None:
        """Draws the target: an angle from U(0, 2π/3) below the shoulder's level, a distance from U(0.3, 0.65) m."""
        angle = self.np_random.uniform(0, math.pi * 2 / 3)
        radius = self.np_random.uniform(0.3, 0.65)
        self.target = (math.cos(angle) * radius, SHOULDER_HEIGHT - math.sin(angle) * radius)
        self.simulation.reset()
        _, x, y = self.simulation.joints["target-joint"]
        state = library().State(self.simulation.state)
        x.setValue(state, self.target[0], False)
        y.setLocked(state, False)
        y.setValue(state, self.target[1], False)
        y.setLocked(state, True)
        self.simulation.continue_from(state)

    def _wrist(self) -> tuple[float, float]:
        location = self.simulation.markers[WRIST].getLocationInGround(self.simulation.state)
        return location.get(0), location.get(1)

    def _reward(self) -> float:
        x, y = self._wrist()
        return 1.0 - (x - self.target[0]) ** 2 - (y - self.target[1]) ** 2

    def _middle(self) -> tuple[float, float, float]:
        return 0.12, 0.7, 0.15

    def _decorate(self, canvas: Canvas) -> None:
        """Draws the target, at the wrist's distance from the middle of the body."""
        depth = self.simulation.markers[WRIST].getLocationInGround(self.simulation.state).get(2)
        canvas.ball((*self.target, depth), 0.03, TARGET_COLOUR)

    def _observe(self) -> Observation:
        if self.form == "dict":
            whole = layout.unfold(self.description.tree, self.description.read())
            return whole | {"target": np.array(self.target)}
        state = self.simulation.state
        entries = list(self.target)
        for joint in self._seen_joints:
            entries += [joint.getValue(state), joint.getSpeedValue(state), joint.getAccelerationValue(state)]
        entries += [muscle.getActivation(state) for muscle in self._seen_muscles]
        entries += self._wrist()
        return np.array(entries)


def _add_target(model: "opensim.Model") -> None:
    """Adds the target as a body of 0.1 g, like osim-rl: the integrator's steps depend on everything that moves."""
    opensim = library()
    body = opensim.Body("target", 0.0001, opensim.Vec3(0), opensim.Inertia(1, 1, 0.0001, 0, 0, 0))
    origin, behind = opensim.Vec3(0), opensim.Vec3(0, 0, -0.25)
    joint = opensim.PlanarJoint("target-joint", model.getGround(), origin, origin, body, behind, origin)
    for component in (body, joint):
        component.thisown = False  # the model owns and deletes it
    model.addJoint(joint)
    model.addBody(body)
