"""Which kwargs an agent may give to an environment: plain data under allowed names, never a path."""

import inspect
import math
from functools import cache
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, load_env_creator

from gymserve.errors import InvalidRequest

MAX_ELEMENTS = 10_000
_NEVER = (
    "self",
    "render_mode",
    "args",
    "kwargs",
    "env_name",
    "game",
    "screen_width",
    "screen_height",
    "width",
    "height",
)
_PATHS = ("file", "path", "dir", "directory")
_PLAIN = (bool, int, float, str, list, tuple, dict, type(None))


def names(spec: EnvSpec) -> list[str]:
    """The parameters of a catalogue entry's constructor that take plain data."""
    return list(_names(spec.id))


@cache
def _names(env_id: str) -> tuple[str, ...]:
    spec = gymnasium.registry[env_id]
    creator = load_env_creator(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point
    try:
        parameters = inspect.signature(creator).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ()
    return tuple(
        each.name
        for each in parameters
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        and each.name not in _NEVER
        and each.name.rpartition("_")[2] not in _PATHS
        and isinstance(each.default, _PLAIN)
    )


def check_size(name: str, value: Any) -> None:
    """Refuses values that are not finite, or larger than any environment needs.

    Raises:
        InvalidRequest: the value is such.
    """
    waiting, elements = [value], 0
    while waiting:
        each = waiting.pop()
        elements += 1
        if isinstance(each, float) and not math.isfinite(each):
            raise InvalidRequest(f"kwargs: {name} must be finite")
        if isinstance(each, str) and len(each) > MAX_ELEMENTS:
            raise InvalidRequest(f"kwargs: {name} is longer than {MAX_ELEMENTS} characters")
        if isinstance(each, (list, dict)):
            waiting.extend(each.values() if isinstance(each, dict) else each)
        if elements + len(waiting) > MAX_ELEMENTS:
            raise InvalidRequest(f"kwargs: {name} has more than {MAX_ELEMENTS} elements")
