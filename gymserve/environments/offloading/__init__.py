"""Mobile-edge offloading beneath a vehicle that carries a reflecting surface, as RUNT's users know it.

Importing this package imports no environment; `register` only tells Gymnasium where they are.
"""

from gymserve.environments.offloading.registration import CONTINUOUS, DISCRETE, EPISODE_STEPS, register

__all__ = ["CONTINUOUS", "DISCRETE", "EPISODE_STEPS", "register"]
