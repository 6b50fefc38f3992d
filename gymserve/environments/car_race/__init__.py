"""The car race of rewards-api: three tracks, five radars, and a reward function that the user may write.

Importing this package does not import the environment; `register` only gives Gymnasium its entry point.
"""

from gymserve.environments.car_race.registration import ALIASES, ID, register

__all__ = ["ALIASES", "ID", "register"]
