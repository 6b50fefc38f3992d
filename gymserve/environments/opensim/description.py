"""The full state of a model with the names of osim-rl's `get_state_desc`: the dict form of observations."""

from typing import TYPE_CHECKING

import numpy as np

from gymserve.environments.opensim.layout import Tree
from gymserve.environments.opensim.physics.simulation import Simulation

if TYPE_CHECKING:
    import opensim

MUSCLE_ENTRIES = ("activation", "fiber_length", "fiber_velocity", "fiber_force")


class StateDescription:
    """Reads the state of a simulation.

    `tree` names the entries that `read` returns: joints' coordinates (rad, m), speeds and accelerations; bodies' positions,
    rotations (about the body's x, y, z), their velocities and accelerations in the ground frame; the recorded values of forces
    (N, Nm); muscles (fibre length in m, force in N); markers; the centre of mass.
    """

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._joints = {name: coordinates for name, coordinates in simulation.joints.items() if coordinates}
        joints = {name: (len(coordinates),) for name, coordinates in self._joints.items()}
        bodies = dict.fromkeys(simulation.bodies, (3,))
        marker = dict.fromkeys(("pos", "vel", "acc"), (3,))
        self.tree: Tree = {
            **dict.fromkeys(("joint_pos", "joint_vel", "joint_acc"), joints),
            **dict.fromkeys(("body_pos", "body_vel", "body_acc"), bodies),
            **dict.fromkeys(("body_pos_rot", "body_vel_rot", "body_acc_rot"), bodies),
            "forces": {name: (force.getRecordLabels().getSize(),) for name, force in simulation.forces.items()},
            "muscles": {muscle.getName(): dict.fromkeys(MUSCLE_ENTRIES, ()) for muscle in simulation.muscles},
            **({"markers": dict.fromkeys(simulation.markers, marker)} if simulation.markers else {}),
            "misc": dict.fromkeys(("mass_center_pos", "mass_center_vel", "mass_center_acc"), (3,)),
        }

    def read(self) -> np.ndarray:
        """Reads the entries, in the order of `tree`: (layout.size(tree),) float64."""
        simulation, state = self._simulation, self._simulation.state
        entries: list[float] = []
        for getter in ("getValue", "getSpeedValue", "getAccelerationValue"):
            for coordinates in self._joints.values():
                entries += [getattr(coordinate, getter)(state) for coordinate in coordinates]
        bodies = list(simulation.bodies.values())
        for read_vector in (
            lambda body: body.getPositionInGround(state),
            lambda body: body.getLinearVelocityInGround(state),
            lambda body: body.getLinearAccelerationInGround(state),
            lambda body: body.getTransformInGround(state).R().convertRotationToBodyFixedXYZ(),
            lambda body: body.getAngularVelocityInGround(state),
            lambda body: body.getAngularAccelerationInGround(state),
        ):
            for body in bodies:
                entries += vector(read_vector(body))
        for force in simulation.forces.values():
            recorded = force.getRecordValues(state)
            entries += [recorded.get(i) for i in range(recorded.size())]
        for muscle in simulation.muscles:
            entries += [
                muscle.getActivation(state),
                muscle.getFiberLength(state),
                muscle.getFiberVelocity(state),
                muscle.getFiberForce(state),
            ]
        for marker in simulation.markers.values():
            entries += vector(marker.getLocationInGround(state))
            entries += vector(marker.getVelocityInGround(state))
            entries += vector(marker.getAccelerationInGround(state))
        model = simulation.model
        for centre in (model.calcMassCenterPosition, model.calcMassCenterVelocity, model.calcMassCenterAcceleration):
            entries += vector(centre(state))
        return np.array(entries)


def vector(vec3: "opensim.Vec3") -> list[float]:
    """Returns the three numbers of an `opensim.Vec3`."""
    return [vec3.get(0), vec3.get(1), vec3.get(2)]
