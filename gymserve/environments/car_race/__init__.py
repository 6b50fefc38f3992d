"""The car race of rewards-api: three tracks, five radars, and a reward function of the user's own.

Importing this package imports none of it; `register` only tells Gymnasium where it is.
"""

from gymserve.environments.car_race.registration import ALIASES, ID, register

__all__ = ["ALIASES", "ID", "register"]
