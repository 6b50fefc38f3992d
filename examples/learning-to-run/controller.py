"""A reflex controller for Learning to Run: each muscle oscillates with the gait, and reacts to the trunk's lean.

In this folder:

gymserve challenge run challenge.toml --agent controller:Controller
gymserve submit --challenge learning-to-run --agent controller:Controller
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

WEIGHTS = Path(__file__).with_name("weights.json")
MUSCLES = 9  # of a leg; the other leg's muscles do the same half a stride later
TERMS = 5  # bias, amplitude, phase, gain of the trunk's lean, gain of its speed
SIZE = MUSCLES * TERMS + 1  # the last weight is the stride's length
UPRIGHT = -0.05  # rad, the trunk's lean at the start
PITCH, PITCH_SPEED = 0, 3  # entries of the observation


class Controller:
    """An agent for `client.submit`.

    Args:
        weights: (46,) float64; None: the ones that `train.py` wrote.
    """

    def __init__(self, observation_space: Any = None, action_space: Any = None, weights: Any = None) -> None:
        weights = json.loads(WEIGHTS.read_text()) if weights is None else weights
        weights = np.asarray(weights, np.float64)
        self.terms = weights[: MUSCLES * TERMS].reshape(MUSCLES, TERMS)
        self.stride = 60 + 20 * np.tanh(weights[-1])  # steps of 0.01 s
        self.reset()

    def reset(self) -> None:
        """Starts a trial."""
        self.steps = 0

    def act(self, observation: Any) -> np.ndarray:
        """The excitation of each muscle, (18,) float32, the right leg's first."""
        bias, amplitude, phase, lean, speed = self.terms.T
        reflex = lean * (observation[PITCH] - UPRIGHT) + speed * observation[PITCH_SPEED]
        legs = []
        for half in (0.0, np.pi):
            angle = 2 * np.pi * self.steps / self.stride + half
            legs.append(bias + amplitude * np.sin(angle + phase) + reflex)
        self.steps += 1
        return np.clip(np.concatenate(legs), 0, 1).astype(np.float32)
