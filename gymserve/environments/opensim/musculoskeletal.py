"""The base class of the musculoskeletal environments: excitations in, one step of the simulation, an observation out."""

from typing import Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces

from gymserve.environments.opensim.drawing.canvas import Camera, Canvas
from gymserve.environments.opensim.drawing.figure import Figure
from gymserve.environments.opensim.physics import snapshots
from gymserve.environments.opensim.physics.simulation import STEP_SECONDS, Simulation, SimulationFailed, to_excitations
from gymserve.environments.opensim.physics.snapshots import EpisodeSnapshot, SavedTask
from gymserve.protocol.generics import Space
from gymserve.protocol.spaces.clipped import ClippedBox

Observation: TypeAlias = np.ndarray | dict[str, Any]  # a dict of arrays and dicts
FORMS = ("vector", "dict")


class Musculoskeletal(gymnasium.Env[Observation, np.ndarray]):
    """A model that moves by the excitations of its muscles, 0.01 s per step.

    Actions: (muscles,) float32 in [0, 1]; values outside are clipped, NaN is refused.
    Observations: (entries,) float64, named by `observation_names`, or a dict.

    Args:
        simulation: the model.
        limit: steps after which an episode is truncated; None: a wrapper may do that.
        observation: "vector" or "dict".
        render_mode: "rgb_array" or None.

    Raises:
        ValueError: an argument has another value.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / STEP_SECONDS)}
    observation_names: tuple[str, ...] = ()
    scale = 190.0  # of pictures, in pixels per m
    ground = True  # whether pictures show a ground at y = 0

    def __init__(
        self, simulation: Simulation, *, limit: int | None = None, observation: str = "vector", render_mode: str | None
    ) -> None:
        if observation not in FORMS:
            raise ValueError(f"observation must be one of {', '.join(FORMS)}, not {observation!r}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode must be 'rgb_array' or None, not {render_mode!r}")
        self.simulation = simulation
        self.limit = limit
        self.form = observation
        self.render_mode = render_mode
        self._over = True
        self._figure: Figure | None = None
        self.action_space = ClippedBox(0.0, 1.0, (len(simulation.muscles),), np.float32)
        self.observation_space = self._space()

    # --- overridden by environments ----------------------------------------------------------------------------------

    def _space(self) -> Space:
        return unbounded(len(self.observation_names))

    def _start(self, options: dict[str, object]) -> None:
        """Draws the random parts of an episode, only from `np_random`, and resets the simulation."""
        raise NotImplementedError

    def _excitations(self, action: np.ndarray) -> list[float]:
        """Reorders an action, (muscles,) float64 in [0, 1], to the model's order of muscles."""
        return action.tolist()

    def _reward(self) -> float:
        """The reward of the last step."""
        raise NotImplementedError

    def _after_step(self) -> None:
        """Updates the state of the task after the reward of a step."""

    def _fallen(self) -> bool:
        """Whether the body has fallen, which terminates the episode."""
        return False

    def _observe(self) -> Observation:
        raise NotImplementedError

    def _info(self) -> dict[str, object]:
        return {}

    def _save_task(self) -> SavedTask:
        """The state of the task as plain data, without what a reset draws."""
        return None

    def _restore_task(self, saved: SavedTask) -> None:
        """Restores the state of the task from `_save_task`'s data; the simulation is restored already."""

    def _middle(self) -> tuple[float, float, float]:
        """The point that the camera looks at, in m: ahead of the pelvis."""
        x, _, z = self.simulation.position("pelvis")
        return x + 0.3, 0.88, z

    def _decorate(self, canvas: Canvas) -> None:
        """Draws everything except the body."""

    # --- Gymnasium's interface ---------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[Observation, dict[str, object]]:
        """Starts an episode, which is exactly the same as on a freshly loaded model."""
        super().reset(seed=seed)
        self._start(options or {})
        self._over = False
        return self._observe(), self._info()

    def step(self, action: object) -> tuple[Observation, float, bool, bool, dict[str, object]]:
        """Acts for 0.01 s.

        Raises:
            ValueError: the action has another shape, or contains NaN; nothing has changed.
            SimulationFailed: OpenSim could not continue; the environment must be reset.
        """
        excitations = self._excitations(to_excitations(action, len(self.simulation.muscles)))
        if self._over:
            raise SimulationFailed("the simulation has failed or was never reset: reset the environment")
        self._over = True  # until this step has succeeded
        self.simulation.step(excitations)
        reward = self._reward()
        self._after_step()
        observation = self._observe()
        self._over = False
        truncated = self.limit is not None and self.simulation.steps >= self.limit
        return observation, float(reward), self._fallen(), truncated, self._info()

    def snapshot(self) -> EpisodeSnapshot:
        """The state of the episode as plain data; `restore` continues from it exactly.

        Raises:
            SimulationFailed: there is no episode to continue.
        """
        if self._over:
            raise SimulationFailed("there is no episode to continue: reset the environment")
        return {"simulation": snapshots.save(self.simulation), "books": self._save_task()}

    def restore(self, snapshot: EpisodeSnapshot) -> None:
        """Restores a snapshot in an episode that was just reset with the same seed and options as the snapshot's.

        Raises:
            ValueError: the snapshot is of another model.
        """
        snapshots.restore(self.simulation, snapshot["simulation"])
        self._restore_task(snapshot["books"])

    def render(self) -> np.ndarray | None:
        """The picture, (400, 600, 3) uint8, seen from the walker's right; None without a render mode.

        Raises:
            SimulationFailed: the environment was never reset.
        """
        if self.render_mode is None:
            return None
        if self.simulation.state is None:
            raise SimulationFailed("there is nothing to render before a reset: reset the environment")
        if self._figure is None or self._figure.model_number != self.simulation.model_number:
            self._figure = Figure(self.simulation, self.scale)
        canvas = Canvas(Camera(self._middle(), self.scale), ground=self.ground)
        self._decorate(canvas)
        self._figure.draw(canvas)
        return canvas.picture()


def unbounded(*shape: int) -> spaces.Box:
    """A space without bounds, since OpenSim bounds none of its values."""
    return spaces.Box(-np.inf, np.inf, shape, np.float64)
