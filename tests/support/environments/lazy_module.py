"""A module that draws when it is imported."""

import numpy as np

DRAWN = np.random.random()
