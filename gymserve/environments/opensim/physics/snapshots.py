"""Snapshots of a simulation as plain data, from which it continues exactly, without repeating the earlier steps.

That needs more than OpenSim's state: the excitations of the last step, with which the next one begins, and the length of the
integrator's next internal step. And the state must be set after the integrator's initialisation, which would move it by 1e-15
to satisfy the model's constraints even better.
"""

from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from gymserve.environments.opensim.physics import integrator
from gymserve.environments.opensim.physics.simulation import Simulation

if TYPE_CHECKING:
    import opensim


SavedTask: TypeAlias = Any
"""The state of a task as plain data, whose form each environment decides."""


class SimulationSnapshot(TypedDict):
    """What a simulation continues from, as numbers and lists that JSON preserves exactly."""

    steps: int
    time: float
    next_step: float
    excitations: list[float]
    state: list[float]


class EpisodeSnapshot(TypedDict):
    """What an episode continues from."""

    simulation: SimulationSnapshot
    books: SavedTask


def save(simulation: Simulation) -> SimulationSnapshot:
    """The data that `restore` needs."""
    state = simulation.state
    return {
        "steps": simulation.steps,
        "time": state.getTime(),
        "next_step": integrator.next_step(simulation.manager),
        "excitations": simulation.excitations(),
        "state": state.getY().to_numpy().tolist(),
    }


def restore(simulation: Simulation, snapshot: SimulationSnapshot) -> None:
    """Restores a snapshot in a simulation that was just reset in the same way as the snapshot's.

    Raises:
        ValueError: the snapshot is of another model.
    """
    if len(snapshot["state"]) != simulation.state.getY().size():
        raise ValueError(f"a snapshot of {len(snapshot['state'])} numbers is of another model")
    simulation.excite(snapshot["excitations"])
    simulation.continue_from(
        simulation.state, lambda manager: integrator.begin_with(manager, float(snapshot["next_step"]))
    )
    simulation.state = simulation.manager.getState()
    _set(simulation.state, snapshot)
    simulation.model.realizeAcceleration(simulation.state)
    simulation.steps = snapshot["steps"]


def _set(state: "opensim.State", snapshot: SimulationSnapshot) -> None:
    state.setTime(snapshot["time"])
    values = state.updY()
    for index, value in enumerate(snapshot["state"]):
        values[index] = value
