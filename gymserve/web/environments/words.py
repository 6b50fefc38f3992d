"""Environments in a person's words: families, spaces, and the names of actions."""

import math
from collections.abc import Mapping, Sequence

import gymnasium

from gymserve.environments.requirements import entry_module
from gymserve.protocol.wire import JSONValue

FAMILIES = {  # module → name, in the order of the page's filter
    "gymnasium.envs.classic_control": "Classic control",
    "gymnasium.envs.toy_text": "Toy text",
    "gymnasium.envs.box2d": "Box2D",
    "gymnasium.envs.mujoco": "MuJoCo",
    "ale_py": "Atari",
    "gymserve.environments.opensim": "OpenSim",
    "gymserve.environments.car_race": "Car race",
    "gymserve.environments.offloading": "Offloading",
}
OTHER = "Other"
ACTIONS = {  # from the environments' documentation; Atari's are asked for when an instance is made
    "CartPole": ("push left", "push right"),
    "MountainCar": ("accelerate left", "do nothing", "accelerate right"),
    "Acrobot": ("torque left", "do nothing", "torque right"),
    "LunarLander": ("do nothing", "fire left engine", "fire main engine (up)", "fire right engine"),
    "FrozenLake": ("left", "down", "right", "up"),
    "FrozenLake8x8": ("left", "down", "right", "up"),
    "CliffWalking": ("up", "right", "down", "left"),
    "CliffWalkingSlippery": ("up", "right", "down", "left"),
    "Taxi": ("down", "up", "right", "left", "pick up", "drop off"),
    "Blackjack": ("stick", "hit"),
}
FEW = 4  # elements of a Box whose bounds are listed
HUGE = 1e30  # a bound beyond it means that there is none


def family(env_id: str) -> str:
    """The family of a registered environment."""
    module = entry_module(gymnasium.registry[env_id])
    return next((name for prefix, name in FAMILIES.items() if module.startswith(prefix)), OTHER)


def action_names(env_id: str, space: Mapping[str, JSONValue]) -> list[str]:
    """The names of a Discrete space's actions, or [] if they have none."""
    names = ACTIONS.get(env_id.rpartition("-v")[0], ())
    return list(names) if space.get("name") == "Discrete" and space["n"] == len(names) else []


def space(description: Mapping[str, JSONValue]) -> str:
    """A space in words, such as "4 numbers (float32)" for a Box of shape (4,)."""
    name = description.get("name")
    if name == "Discrete":
        return f"{description['n']} choices, {_range(description.get('start', 0), description['n'])}"
    if name == "MultiDiscrete":
        return f"{len(description['nvec'])} numbers, each one of a few"
    if name == "MultiBinary":
        shape = description.get("shape") or [description["n"]]
        return f"{' × '.join(map(str, shape))} switch{'' if math.prod(shape) == 1 else 'es'}, each 0 or 1"
    if name == "Box":
        return _box(description)
    if name in ("Tuple", "Dict"):
        parts = description["spaces"]
        named = parts.items() if isinstance(parts, Mapping) else enumerate(parts, 1)
        return f"{len(parts)} part{'' if len(parts) == 1 else 's'}: " + "; ".join(
            f"{key}: {space(part)}" for key, part in named
        )
    return str(name or "not known yet")


def _box(description: Mapping[str, JSONValue]) -> str:
    shape, dtype = description["shape"], description["dtype"]
    if len(shape) == 3 and shape[2] in (1, 3, 4) and dtype == "uint8":
        return f"a picture, {shape[1]} × {shape[0]} pixels{', colour' if shape[2] > 1 else ''}"
    count = math.prod(shape)
    size = f"{count} number{'' if count == 1 else 's'}" if len(shape) < 2 else f"{' × '.join(map(str, shape))} numbers"
    low, high = _flat(description["low"]), _flat(description["high"])
    if len(set(low)) == 1 and len(set(high)) == 1:
        return f"{size}, {_bounds(low[0], high[0])} ({dtype})"
    return f"{size} ({dtype})"


def bounds(description: Mapping[str, JSONValue]) -> list[str]:
    """The bounds of each element of a small Box, if they differ."""
    if description.get("name") != "Box" or math.prod(description["shape"]) > FEW:
        return []
    return [_bounds(*each) for each in zip(_flat(description["low"]), _flat(description["high"]), strict=True)]


def _bounds(low: float, high: float) -> str:
    if low < -HUGE and high > HUGE:
        return "unbounded"
    return f"{_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    return ("−∞" if value < 0 else "∞") if abs(value) > HUGE else f"{value + 0.0:.4g}".replace("-", "−")


def _flat(value: JSONValue) -> list[float]:
    return [element for part in value for element in _flat(part)] if isinstance(value, Sequence) else [value]


def _range(start: int, count: int) -> str:
    return f"{start} to {start + count - 1}".replace("-", "−")
