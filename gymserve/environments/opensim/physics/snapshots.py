"""A simulation's moment as plain data, from which it goes on to the bit, without the steps that led there.

That takes more than OpenSim's state: the excitations of the last step, with which the next one begins, and how long the
integrator's next internal step is. And the state must not pass through an integrator's start, which moves it by 1e-15 to
where the model's constraints are met even better.
"""

from typing import Any

from gymserve.environments.opensim.physics import integrator
from gymserve.environments.opensim.physics.simulation import Simulation


def take(simulation: Simulation) -> dict[str, Any]:
    """What `restore` needs, as numbers and lists that JSON keeps to the bit."""
    state = simulation.state
    return {
        "steps": simulation.steps,
        "time": state.getTime(),
        "next_step": integrator.next_step(simulation.manager),
        "excitations": simulation.excitations(),
        "state": state.getY().to_numpy().tolist(),
    }


def restore(simulation: Simulation, snapshot: dict[str, Any]) -> None:
    """Takes a simulation that was just reset, as the snapshot's was, on to where that was taken.

    Raises:
        ValueError: the snapshot is of another model.
    """
    if len(snapshot["state"]) != simulation.state.getY().size():
        raise ValueError(f"a snapshot of {len(snapshot['state'])} numbers is of another model")
    simulation.excite(snapshot["excitations"])
    simulation.go_on_from(
        simulation.state, lambda manager: integrator.begin_with(manager, float(snapshot["next_step"]))
    )
    simulation.state = simulation.manager.getState()
    _set(simulation.state, snapshot)
    simulation.model.realizeAcceleration(simulation.state)
    simulation.steps = snapshot["steps"]


def _set(state: Any, snapshot: dict[str, Any]) -> None:
    state.setTime(snapshot["time"])
    values = state.updY()
    for index, value in enumerate(snapshot["state"]):
        values[index] = value
