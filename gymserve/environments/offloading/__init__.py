"""RUNT's environments: mobile-edge offloading with a reflecting surface on an aerial vehicle.

Importing this package imports no environment; `register` only gives Gymnasium their entry points.
"""

from gymserve.environments.offloading.registration import CONTINUOUS, DISCRETE, EPISODE_STEPS, register

__all__ = ["CONTINUOUS", "DISCRETE", "EPISODE_STEPS", "register"]
