"""A module that draws a random number when it is imported."""

import numpy as np

DRAWN = np.random.random()
