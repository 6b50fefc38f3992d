"""What the musculoskeletal environments have in common: excitations in, one step of the simulation, an observation out."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from gymserve.environments.opensim.drawing.canvas import Camera, Canvas
from gymserve.environments.opensim.drawing.figure import Figure
from gymserve.environments.opensim.physics import snapshots
from gymserve.environments.opensim.physics.simulation import STEP_SECONDS, Simulation, SimulationFailed, checked
from gymserve.protocol.spaces.clipped import ClippedBox

FORMS = ("vector", "dict")


class Musculoskeletal(gymnasium.Env[Any, np.ndarray]):
    """A model that is moved by the excitations of its muscles, 0.01 s a step.

    Actions: (muscles,) float32 in [0, 1]; what lies outside is clipped, NaN is refused.
    Observations: (entries,) float64, entry by entry as `observation_names` says, or a dict.

    Args:
        simulation: the model.
        limit: steps after which an episode is truncated; None: that is left to a wrapper.
        observation: "vector" or "dict".
        render_mode: "rgb_array" or None.

    Raises:
        ValueError: an argument is none of these.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / STEP_SECONDS)}
    observation_names: tuple[str, ...] = ()
    scale = 190.0  # of the picture, in pixels for each m
    ground = True  # whether it shows a ground at y = 0

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

    # --- what an environment says of itself ------------------------------------------------------------------------

    def _space(self) -> spaces.Space[Any]:
        return unbounded(len(self.observation_names))

    def _start(self, options: dict[str, Any]) -> None:
        """Draws what an episode draws, from `np_random` alone, and brings the simulation to its start."""
        raise NotImplementedError

    def _excitations(self, action: np.ndarray) -> list[float]:
        """An action, (muscles,) float64 in [0, 1], in the order of the model's muscles."""
        return action.tolist()

    def _reward(self) -> float:
        """What the step just made is worth."""
        raise NotImplementedError

    def _follow(self) -> None:
        """Keeps the books of the task after a step has been rewarded."""

    def _fallen(self) -> bool:
        """Whether the episode is over."""
        return False

    def _observe(self) -> Any:
        raise NotImplementedError

    def _info(self) -> dict[str, Any]:
        return {}

    def _books(self) -> Any:
        """What the task remembers of the episode's steps, as plain data, beside what a reset draws."""
        return None

    def _reopen(self, books: Any) -> None:
        """Goes on with what `_books` told; the simulation is already where it was then."""

    def _middle(self) -> tuple[float, float, float]:
        """Where the picture looks, in m: ahead of the pelvis."""
        x, _, z = self.simulation.position("pelvis")
        return x + 0.3, 0.88, z

    def _decorate(self, canvas: Canvas) -> None:
        """Draws what there is beside the body."""

    # --- Gymnasium's interface ---------------------------------------------------------------------------------------

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode; it is the same to the bit as on a model that was just loaded."""
        super().reset(seed=seed)
        self._start(options or {})
        self._over = False
        return self._observe(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Acts for 0.01 s.

        Raises:
            ValueError: the action has another shape, or holds NaN; nothing has happened.
            SimulationFailed: OpenSim could not go on; the environment must be reset.
        """
        excitations = self._excitations(checked(action, len(self.simulation.muscles)))
        if self._over:
            raise SimulationFailed("the simulation has failed or was never reset: reset the environment")
        self._over = True  # until this step has gone well
        self.simulation.step(excitations)
        reward = self._reward()
        self._follow()
        observation = self._observe()
        self._over = False
        truncated = self.limit is not None and self.simulation.steps >= self.limit
        return observation, float(reward), self._fallen(), truncated, self._info()

    def snapshot(self) -> dict[str, Any]:
        """Plain data from which `restore` goes on to the bit.

        Raises:
            SimulationFailed: there is no episode to go on with.
        """
        if self._over:
            raise SimulationFailed("there is no episode to go on with: reset the environment")
        return {"simulation": snapshots.take(self.simulation), "books": self._books()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Takes an episode that was just reset, with the seed and options of the snapshot's, on to where that was taken.

        Raises:
            ValueError: the snapshot is of another model.
        """
        snapshots.restore(self.simulation, snapshot["simulation"])
        self._reopen(snapshot["books"])

    def render(self) -> Any:
        """(400, 600, 3) uint8, seen from the walker's right; None without a render mode.

        Raises:
            SimulationFailed: there was no reset yet.
        """
        if self.render_mode is None:
            return None
        if self.simulation.state is None:
            raise SimulationFailed("there is nothing to see before a reset: reset the environment")
        if self._figure is None or self._figure.built != self.simulation.built:
            self._figure = Figure(self.simulation, self.scale)
        canvas = Canvas(Camera(self._middle(), self.scale), ground=self.ground)
        self._decorate(canvas)
        self._figure.draw(canvas)
        return canvas.picture()


def unbounded(*shape: int) -> spaces.Box:
    """OpenSim bounds none of what it answers."""
    return spaces.Box(-np.inf, np.inf, shape, np.float64)
