"""Musculoskeletal environments on OpenSim: Learning to Run, AI for Prosthetics, Learn to Move, and an arm.

Importing this package imports neither OpenSim nor the environments; `register` only gives Gymnasium their entry points.
"""

from gymserve.environments.opensim.physics.models import FETCH, present
from gymserve.environments.opensim.registration import ALIASES, register

__all__ = ["ALIASES", "FETCH", "present", "register"]
