"""Gymnasium's generic classes, for environments whose spaces are only known when they are made."""

from typing import Any, TypeAlias

import gymnasium
from gymnasium.vector import VectorEnv

Value: TypeAlias = Any
"""An observation or action. Its type depends on its space, which is only known when an environment is made."""

Space: TypeAlias = gymnasium.Space[Value]
Env: TypeAlias = gymnasium.Env[Value, Value]
ForeignEnv: TypeAlias = Any
"""A plain or vector environment as somebody wrote it; its class may lack or add members, or keep an old API."""

AnyEnv: TypeAlias = Env | VectorEnv[Value, Value, Value]
"""An instance's environment: a plain or a vector environment."""
