"""Decides which kwargs an agent may pass to an environment: plain data under allowed names, never a path."""

import inspect
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cache

import gymnasium
from gymnasium.envs.registration import EnvSpec, load_env_creator

from gymserve.environments.foreign import error_text, pass_on_interrupt
from gymserve.protocol.errors import EnvironmentFailed, InvalidRequest

MAX_SIZE = 10_000  # elements and characters of all arguments together
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
    "autoreset_mode",
    "batch_size",
    "num_threads",
    "thread_affinity_offset",
)
_PATHS = ("file", "path", "dir", "directory")
_PLAIN = (bool, int, float, str, list, tuple, dict, type(None))
# If threads import a package and its modules at the same time, Python breaks the deadlock with a half-imported module.
_importing = threading.Lock()


def names(spec: EnvSpec) -> list[str]:
    """The parameters for plain data of an environment's constructors, including that of the vector environment.

    Raises:
        EnvironmentFailed: the environment's module cannot be imported.
    """
    with _importing:
        return list(_names(spec.id))


def has_parameter(entry_point: Callable[..., object] | str, name: str) -> bool:
    """Whether an entry point has a parameter of this name."""
    with _importing:
        creator = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    return name in inspect.signature(creator).parameters


@cache
def _names(env_id: str) -> tuple[str, ...]:
    spec = gymnasium.registry[env_id]
    entry_points = [one for one in (spec.entry_point, spec.vector_entry_point) if one is not None]
    return tuple(dict.fromkeys(name for one in entry_points for name in _parameters(env_id, one)))


def _parameters(env_id: str, entry_point: Callable[..., object] | str) -> Iterator[str]:
    try:
        creator = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    except BaseException as error:  # a simulator's code may raise anything
        pass_on_interrupt(error)
        raise EnvironmentFailed(f"{env_id} cannot be imported: {error_text(error)}") from error
    try:
        parameters = inspect.signature(creator).parameters.values()
    except (TypeError, ValueError):
        return
    for each in parameters:
        if (
            each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
            and each.name not in _NEVER
            and each.name.rpartition("_")[2] not in _PATHS
            and isinstance(each.default, _PLAIN)
        ):
            yield each.name


def check_size(kwargs: Mapping[str, object]) -> None:
    """Refuses values that are not finite, or that are together larger than any environment needs.

    Raises:
        InvalidRequest: a value is not finite, or they are too large.
    """
    size = 0
    for name, value in kwargs.items():
        waiting = [value]
        while waiting:
            each = waiting.pop()
            size += 1 + (len(each) if isinstance(each, str) else 0)
            if isinstance(each, float) and not math.isfinite(each):
                raise InvalidRequest(f"kwargs: {name} must be finite")
            if isinstance(each, dict):
                size += sum(map(len, each))
                waiting.extend(each.values())
            elif isinstance(each, list):
                waiting.extend(each)
            if size + len(waiting) > MAX_SIZE:
                raise InvalidRequest(
                    f"kwargs: with {name}, they have more than {MAX_SIZE} elements and characters in all"
                )
