"""Gymnasium's generic classes, for environments whose spaces are only known when they are made."""

from typing import Any, TypeAlias

import gymnasium
from gymnasium.vector import VectorEnv

Space: TypeAlias = gymnasium.Space[Any]
Env: TypeAlias = gymnasium.Env[Any, Any]
AnyEnv: TypeAlias = Env | VectorEnv[Any, Any, Any]
"""An instance's environment: a plain or a vector environment."""
