"""An agent for the challenge: it goes where the treasure is."""

import numpy as np


def act(observation: np.ndarray) -> int:
    return 1 if observation[0] > 0 else 0
