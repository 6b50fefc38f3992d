"""L2M2019, "Learn to Move: Walk Around" (NeurIPS 2019): walk along a field of target velocities.

Source of observation and reward: osim-rl 3.0.11, `osim/env/osim.py`, class `L2M2019Env`.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from gymserve.environments.opensim import layout
from gymserve.environments.opensim.drawing import ground
from gymserve.environments.opensim.drawing.canvas import Canvas
from gymserve.environments.opensim.footsteps import Footsteps
from gymserve.environments.opensim.musculoskeletal import Musculoskeletal, Observation, unbounded
from gymserve.environments.opensim.physics import models
from gymserve.environments.opensim.physics.simulation import Simulation, rotate
from gymserve.environments.opensim.physics.snapshots import SavedTask
from gymserve.environments.opensim.target_field import PER_METRE, SHAPE, TARGET_RADIUS, TargetField
from gymserve.protocol.generics import Space

if TYPE_CHECKING:
    import opensim

WEIGHT = 75.1646 * 9.80665  # N, of the 3D model; osim-rl uses it for the 2D model too
FALLEN = 0.6  # m, height of the pelvis
CONTACT = 0.05  # least force of a foot on the ground, as a fraction of the weight
STEPS = {0: 1000, 1: 1000, 2: 1000, 3: 2500}
MUSCLES = {  # in the order of actions and observations
    "HAB": "abd", "HAD": "add", "HFL": "iliopsoas", "GLU": "glut_max", "HAM": "hamstrings", "RF": "rect_fem",
    "VAS": "vasti", "BFSH": "bifemsh", "GAS": "gastroc", "SOL": "soleus", "TA": "tib_ant",
}  # fmt: skip
REACH_OF_VIEW = 2.5  # m
START = (0, 0, 0.94, 0, 0, 0, 0, 0, 0, 0, 0, 0)
_JOINTS = {"hip_abd": (), "hip": (), "knee": (), "ankle": ()}
_LEG: "dict[str, layout.Tree | tuple[int, ...]]" = {
    "ground_reaction_forces": (3,),
    "joint": _JOINTS,
    "d_joint": _JOINTS,
}
TREE: layout.Tree = {
    "v_tgt_field": SHAPE,
    "pelvis": {"height": (), "pitch": (), "roll": (), "vel": (6,)},
    **{leg: _LEG | {muscle: {"f": (), "l": (), "v": ()} for muscle in MUSCLES} for leg in ("r_leg", "l_leg")},
}


class LearnToMove(Musculoskeletal):
    """The walker of "Learn to Move".

    `reset` takes the option `init_pose`, 12 numbers: speed forward and to the right (m/s), height of the pelvis (m),
    lean of the trunk, and for the right, then the left leg hip adduction, hip flexion, knee extension, ankle flexion (rad).

    Args:
        model: "3D" or "2D"; the latter cannot fall sideways.
        difficulty: 0: a constant target velocity; 1: targets ahead; 2: up to 90° to either side (round 1, 1,000 steps);
            3: all around (round 2, 2,500 steps).
    """

    observation_names = layout.names(TREE)

    def __init__(
        self,
        *,
        model: str = "3D",
        difficulty: int = 3,
        integrator_accuracy: float = 5e-5,
        observation: str = "vector",
        render_mode: str | None = None,
    ) -> None:
        if model not in ("3D", "2D"):
            raise ValueError(f"model must be '3D' or '2D', not {model!r}")
        if isinstance(difficulty, bool) or difficulty not in STEPS:
            raise ValueError(f"difficulty must be 0, 1, 2 or 3, not {difficulty!r}")
        self.difficulty = int(difficulty)
        simulation = Simulation(models.path(models.WALK[model, False]), accuracy=integrator_accuracy)
        super().__init__(simulation, limit=STEPS[self.difficulty], observation=observation, render_mode=render_mode)
        by_name = {muscle.getName(): index for index, muscle in enumerate(simulation.muscles)}
        acted = [by_name[f"{name}_{side}"] for side in "rl" for name in MUSCLES.values()]
        self._acted = np.argsort(acted)  # the index in an action of each of the model's muscles
        self._seen = [
            (muscle, muscle.getMaxIsometricForce(), muscle.getOptimalFiberLength())
            for muscle in (simulation.muscles[index] for index in acted)
        ]
        joints = simulation.joints
        self._legs = [
            [*joints[f"hip_{side}"][:2], joints[f"knee_{side}"][0], joints[f"ankle_{side}"][0]] for side in "rl"
        ]
        self._feet = [simulation.forces[f"foot_{side}"] for side in "rl"]
        self._pelvis = joints["ground_pelvis"]

    def _space(self) -> Space:
        return layout.space(TREE) if self.form == "dict" else unbounded(layout.size(TREE))

    def _start(self, options: dict[str, object]) -> None:
        pose = np.asarray(options.get("init_pose", START), np.float64)
        if pose.shape != (len(START),) or not np.isfinite(pose).all():
            raise ValueError(f"init_pose must be {len(START)} finite numbers, not {options['init_pose']!r:.100}")
        self.field = TargetField(self.difficulty, self.np_random)
        self.footsteps = Footsteps(2 if self.difficulty == 3 else 1)
        self.simulation.reset(lambda state: _place(state, pose))
        self._look()
        self._reached = self.field.update(self._place)

    def _look(self) -> None:
        """Reads the position and velocity of the pelvis."""
        x, self.height, z = self.simulation.position("pelvis")
        self.velocity = self.simulation.velocity("pelvis")
        self._place = np.array([x, -z])
        self._yaw = self._pelvis[2].getValue(self.simulation.state)

    def _excitations(self, action: np.ndarray) -> list[float]:
        return action[self._acted].tolist()

    def _reward(self) -> float:
        self._look()
        wanted = self.field.at(self._place[:1], self._place[1:])
        return self.footsteps.reward(
            (self.velocity[0], -self.velocity[2]),
            (float(wanted[0, 0]), float(wanted[1, 0])),
            float(np.square(self.simulation.activations()).sum()),
            walked=self.simulation.steps == self.limit and not self._fallen(),
            reached=self._reached,
        )

    def _after_step(self) -> None:
        right, left = (_pressure(foot, self.simulation.state)[1] > CONTACT for foot in self._feet)
        self.footsteps.land(right, left)
        self._reached = self.field.update(self._place)

    def _fallen(self) -> bool:
        return self.height < FALLEN

    def _save_task(self) -> SavedTask:
        return [self.footsteps.save(), self.field.save(), self._reached]

    def _restore_task(self, saved: SavedTask) -> None:
        footsteps, field, self._reached = saved
        self.footsteps.restore(footsteps)
        self.field.restore(field)
        self._look()

    def _decorate(self, canvas: Canvas) -> None:
        """Draws the field on the ground, and the target in it."""
        places = ground.grid(self._place * (1, -1), REACH_OF_VIEW, 1 / PER_METRE)
        velocities = self.field.at(places[:, 0], -places[:, 1])
        ground.arrows(canvas, places, velocities.T * (1, -1), length=0.2)
        if self.field.target is not None:
            ground.ring(canvas, self.field.target * (1, -1), TARGET_RADIUS)

    def _observe(self) -> Observation:
        state = self.simulation.state
        vector = np.empty(layout.size(TREE))
        fields = math.prod(SHAPE)
        vector[:fields] = self.field.around(self._place, self._yaw).ravel()
        entries = self._pelvis_entries(state)
        for leg in (0, 1):
            entries += self._leg_entries(state, leg)
        vector[fields:] = entries
        return layout.unfold(TREE, vector) if self.form == "dict" else vector

    def _pelvis_entries(self, state: object) -> list[float]:
        """Height, pitch, roll; velocity forward, left, up; angular velocity in pitch, roll, yaw."""
        x, y, z = self.velocity
        forward, right = rotate(x, z, self._yaw)
        tilt, roll, yaw = self._pelvis[:3]
        return [
            self.height, -tilt.getValue(state), roll.getValue(state), forward, -right, y,
            -tilt.getSpeedValue(state), roll.getSpeedValue(state), yaw.getSpeedValue(state),
        ]  # fmt: skip

    def _leg_entries(self, state: object, leg: int) -> list[float]:
        """Ground reaction forward, outward, up, in body weights; joints; their speeds; force, length, speed of each muscle."""
        x, y, z = _pressure(self._feet[leg], state)
        forward, right = rotate(x, z, self._yaw)
        flexion, adduction, knee, ankle = self._legs[leg]
        entries = [
            forward, -right if leg else right, y,
            -adduction.getValue(state), -flexion.getValue(state), knee.getValue(state), -ankle.getValue(state),
            -adduction.getSpeedValue(state), -flexion.getSpeedValue(state), knee.getSpeedValue(state),
            -ankle.getSpeedValue(state),
        ]  # fmt: skip
        half = len(MUSCLES)
        for muscle, force, length in self._seen[leg * half : (leg + 1) * half]:
            entries += [
                muscle.getFiberForce(state) / force,
                muscle.getFiberLength(state) / length,
                muscle.getFiberVelocity(state) / length,
            ]
        return entries


def _pressure(foot: "opensim.Force", state: "opensim.State") -> tuple[float, float, float]:
    """The ground's force on a foot, (x, y, z) in body weights."""
    forces = foot.getRecordValues(state)
    return -forces.get(0) / WEIGHT, -forces.get(1) / WEIGHT, -forces.get(2) / WEIGHT


def _place(state: "opensim.State", pose: np.ndarray) -> None:
    """Puts the model at the origin in a pose, see `LearnToMove`; the numbers are the indices of its coordinates."""
    coordinates, speeds = state.getQ(), state.getU()
    for index in range(speeds.size()):
        speeds[index] = 0.0
    for index in (1, 2, 3, 5):
        coordinates[index] = 0.0
    speeds[3], speeds[5], coordinates[4] = float(pose[0]), float(pose[1]), float(pose[2])
    places = (0, 7, 6, 13, 15, 10, 9, 14, 16)
    for index, angle, sign in zip(places, pose[3:], (-1, -1, -1, 1, -1, -1, -1, 1, -1), strict=True):
        coordinates[index] = sign * float(angle)
    state.setQ(coordinates)
    state.setU(speeds)
