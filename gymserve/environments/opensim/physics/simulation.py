"""A simulation: an OpenSim model, its state and its integrator, with handles that are looked up once."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import opensim

STEP_SECONDS = 0.01


class SimulationFailed(RuntimeError):
    """OpenSim could not continue from this state with these excitations; the episode is over."""


@cache
def library() -> ModuleType:
    """The OpenSim package, silent and without its log file in the working directory.

    It is imported at first use, since that takes half a second and 120 MB, which a process that only lists environments
    does not need.
    """
    import opensim

    opensim.Logger.removeFileSink()
    opensim.Logger.setLevelString("Error")
    return opensim


@cache  # the model is only copied, never changed
def _read_model(path: Path) -> "opensim.Model":
    model = library().Model(str(path))
    model.initSystem()
    return model


class Simulation:
    """A model in motion.

    Args:
        path: an `.osim` file.
        accuracy: the relative error that the integrator (Runge-Kutta-Merson, adaptive) allows in a step.
        extend: adds components to the model before its system is built.

    Raises:
        RuntimeError: OpenSim cannot read the model.
    """

    def __init__(self, path: Path, *, accuracy: float, extend: "Callable[[opensim.Model], None] | None" = None) -> None:
        if not (isinstance(accuracy, (int, float)) and 1e-9 <= accuracy <= 1e-1):
            raise ValueError(f"integrator_accuracy must be from 1e-9 to 0.1, not {accuracy!r}")
        self.accuracy = float(accuracy)
        self.manager: opensim.Manager = None  # set before the model, so that it is also destroyed before the model
        self.state: opensim.State = None
        self._pristine = _read_model(path)
        self.steps = 0
        self.model_number = 0  # grows with each rebuild, which makes handles of the model before invalid
        self.rebuild(extend)

    def rebuild(self, extend: "Callable[[opensim.Model], None] | None" = None) -> None:
        """Replaces the model by a fresh copy of the file's, with what `extend` adds to it.

        Handles of the model before become invalid: using one crashes the process.
        """
        opensim = library()
        self.manager = self.state = None
        self.model_number += 1
        self.model = opensim.Model(self._pristine)
        self._add_controller(opensim)
        self.model.initSystem()
        if extend is not None:
            extend(self.model)
            self.model.initSystem()
        self.muscles = elements(self.model.getMuscles())
        self.bodies = {body.getName(): body for body in elements(self.model.getBodySet())}
        self.joints = {
            joint.getName(): [joint.get_coordinates(i) for i in range(joint.numCoordinates())]
            for joint in elements(self.model.getJointSet())
        }
        self.forces = {force.getName(): force for force in elements(self.model.getForceSet())}
        self.markers = {marker.getName(): marker for marker in elements(self.model.getMarkerSet())}
        controller = opensim.PrescribedController.safeDownCast(self.model.getControllerSet().get(0))
        functions = elements(controller.get_ControlFunctions())
        self._excitations = [opensim.Constant.safeDownCast(function) for function in functions]

    def _add_controller(self, opensim: ModuleType) -> None:
        """Adds a constant function for each muscle, whose value is the muscle's excitation."""
        self.model.initSystem()
        controller = opensim.PrescribedController()
        for muscle in elements(self.model.getMuscles()):
            controller.addActuator(muscle)
            controller.prescribeControlForActuator(muscle.getName(), opensim.Constant(1.0))
        self.model.addController(controller)

    # --- time -----------------------------------------------------------------------------------------------------

    def reset(self, place: "Callable[[opensim.State], None] | None" = None) -> None:
        """Returns to the start, exactly as on a fresh model.

        In addition to its state a model remembers the excitations, whose old values affect the first derivative, so they are
        set to a fresh model's values.

        Args:
            place: changes the initial state before the muscles' fibres are brought to equilibrium.
        """
        self.excite([1.0] * len(self.muscles))
        state = self.model.initializeState()
        if place is not None:
            place(state)
        self.model.equilibrateMuscles(state)
        state.setTime(0)
        self.steps = 0
        self.continue_from(state)

    def continue_from(self, state: "opensim.State", prepare: "Callable[[opensim.Manager], None] | None" = None) -> None:
        """Continues from `state` with a new integrator, which chooses the length of its first internal step itself.

        Args:
            prepare: changes the new manager before it is initialised.
        """
        self.state = state
        self.manager = library().Manager(self.model)
        self.manager.setWriteToStorage(False)  # storing every internal step would take a third of the time
        self.manager.setPerformAnalyses(False)
        self.manager.setIntegratorAccuracy(self.accuracy)
        if prepare is not None:
            prepare(self.manager)
        self.manager.initialize(state)
        self.model.realizeAcceleration(state)

    def excite(self, excitations: Sequence[float]) -> None:
        """Sets the excitation of every muscle, each in [0, 1], in the model's order."""
        for function, value in zip(self._excitations, excitations, strict=True):
            function.setValue(value)

    def excitations(self) -> list[float]:
        """The excitations of the last step."""
        return [function.getValue() for function in self._excitations]

    def step(self, excitations: Sequence[float]) -> None:
        """Advances by `STEP_SECONDS`.

        The next step begins with the accelerations at the end of this one, although its excitations differ; osim-rl does the
        same, because it reads the accelerations after each step.

        Raises:
            SimulationFailed: the integrator gave up, or the state is not finite.
        """
        self.excite(excitations)
        try:
            self.state = self.manager.integrate(STEP_SECONDS * (self.steps + 1))
            self.model.realizeAcceleration(self.state)
        except Exception as error:
            raise SimulationFailed(f"OpenSim gave up in step {self.steps + 1}: {_line(error)}") from error
        self.steps += 1
        if not np.isfinite(self.state.getY().to_numpy()).all():
            raise SimulationFailed(f"the state is no longer finite in step {self.steps}")

    # --- reading the state ------------------------------------------------------------------------------------------

    def position(self, name: str) -> tuple[float, float, float]:
        """The position of a body's origin in the ground frame, in m."""
        position = self.bodies[name].getPositionInGround(self.state)
        return position.get(0), position.get(1), position.get(2)

    def velocity(self, name: str) -> tuple[float, float, float]:
        """The velocity of a body's origin in the ground frame, in m/s."""
        velocity = self.bodies[name].getLinearVelocityInGround(self.state)
        return velocity.get(0), velocity.get(1), velocity.get(2)

    def activations(self) -> np.ndarray:
        """The muscles' activations, (muscles,) float64, in the model's order."""
        return np.array([muscle.getActivation(self.state) for muscle in self.muscles])


def elements(collection: "opensim.Set") -> list["opensim.Object"]:
    """The elements of an OpenSim set."""
    return [collection.get(i) for i in range(collection.getSize())]


def to_excitations(action: object, size: int) -> np.ndarray:
    """Converts an action to excitations: (size,) float64, clipped to [0, 1].

    Raises:
        ValueError: it has another shape, or contains NaN.
    """
    excitations = np.asarray(action, np.float64)
    if excitations.shape != (size,):
        raise ValueError(f"an action is {size} excitations, not an array of shape {excitations.shape}")
    if np.isnan(excitations).any():
        raise ValueError(f"an action must not contain NaN: {excitations}")
    return excitations.clip(0.0, 1.0)


def rotate(x: float, y: float, angle: float) -> tuple[float, float]:
    """A vector in the plane, rotated counter-clockwise by `angle` rad."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return cosine * x - sine * y, sine * x + cosine * y


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
