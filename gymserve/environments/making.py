"""Makes environments of the catalogue; host processes do this."""

import copy
import importlib
import importlib.util
import os
import warnings
from collections.abc import Sequence
from typing import Protocol

import gymnasium
from gymnasium.vector import AutoresetMode

from gymserve.environments import arguments, old_api
from gymserve.environments.copies import Copies
from gymserve.environments.foreign import error_text, pass_on_interrupt
from gymserve.environments.wrappers import wrap
from gymserve.protocol.errors import EnvironmentFailed, InvalidRequest
from gymserve.protocol.generics import ForeignEnv
from gymserve.protocol.recipe import Wrapper
from gymserve.protocol.wire import JSONValue
from gymserve.system import interpreters

WARM = (
    "gymnasium.envs.classic_control", "gymnasium.envs.toy_text", "gymnasium.envs.box2d", "gymnasium.envs.mujoco",
    "mujoco", "ale_py", "ale_py.env", "opensim", "gymserve.environments.offloading.discrete",
)  # fmt: skip
_NO_ENV = "only gymnasium.Env is served; multi-agent environments, for example PettingZoo's, are not supported yet"
_PARAMETER_ERRORS = ("unexpected keyword argument", "autoreset_mode")  # of vector environments that lack a parameter
_AUTORESET = {mode.value: mode for mode in AutoresetMode}


class Entry(Protocol):
    """The part of a catalogue's entry that `make` needs."""

    @property
    def id(self) -> str: ...


def make(
    environment: Entry,
    *,
    kwargs: dict[str, object] | None = None,
    max_episode_steps: int | None = None,
    render_mode: str | None = None,
    num_envs: int = 1,
    autoreset: str | None = None,
    wrappers: Sequence[Wrapper] = (),
) -> ForeignEnv:
    """Makes a `gymnasium.Env`, or a `gymnasium.vector.VectorEnv` if `num_envs` is more than 1 or `autoreset` is set.

    Args:
        wrappers: around the environment, or around each copy; see `environments.wrappers`.
        autoreset: "NextStep" (default), "SameStep" or "Disabled", for a vector environment.

    Raises:
        InvalidRequest: the environment cannot be made with these parameters.
        EnvironmentFailed: its constructor raised an error.
    """
    if render_mode == "human":
        raise InvalidRequest("render_mode 'human' needs a screen, which servers do not have: use 'rgb_array'")
    if autoreset not in (None, *_AUTORESET):
        raise InvalidRequest(f"autoreset_mode must be one of {', '.join(_AUTORESET)}, not {autoreset!r:.50}")
    is_vector = num_envs > 1 or autoreset is not None
    parameters: dict[str, JSONValue] = {}
    if max_episode_steps is not None:
        parameters["max_episode_steps"] = max_episode_steps
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if render_mode is not None and not old_api.takes_mode_per_call(environment.id):
                parameters["render_mode"] = render_mode
            parameters |= copy.deepcopy(kwargs or {})  # a constructor may change its arguments
            if is_vector:
                env: ForeignEnv = _make_vector(environment.id, num_envs, autoreset, parameters, wrappers)
            else:
                env = wrap(gymnasium.make(environment.id, disable_env_checker=True, **parameters), wrappers)
            old_api.adapt(env, render_mode)
            return _check_render_mode(env, render_mode)
        except InvalidRequest:
            raise
        except BaseException as error:
            pass_on_interrupt(error)
            text = error_text(error)
            if "inherit from the gymnasium.Env class" in text:
                raise InvalidRequest(f"{environment.id}: {_NO_ENV} ({text})") from error
            if kwargs:
                raise InvalidRequest(f"{environment.id} cannot be made with these kwargs: {text}") from error
            if is_vector and any(each in text for each in _PARAMETER_ERRORS):
                raise InvalidRequest(f"{num_envs} copies of {environment.id} cannot be made so: {text}") from error
            raise EnvironmentFailed(f"{environment.id} cannot be made: {text}") from error


def _make_vector(
    env_id: str, num_envs: int, autoreset: str | None, parameters: dict[str, JSONValue], wrappers: Sequence[Wrapper]
) -> ForeignEnv:
    """Makes a vector environment like Gymnasium does: with the vector entry point if it supports the mode, else of copies.

    With wrappers it is always made of copies. An entry point with a parameter for the mode is used even if it refuses it.
    """
    mode = _AUTORESET[autoreset or "NextStep"]
    entry_point = gymnasium.registry[env_id].vector_entry_point
    if not wrappers and entry_point is not None:
        if arguments.has_parameter(entry_point, "autoreset_mode"):
            return gymnasium.make_vec(env_id, num_envs, "vector_entry_point", autoreset_mode=mode, **parameters)
        env = gymnasium.make_vec(env_id, num_envs, "vector_entry_point", **parameters)
        if env.metadata.get("autoreset_mode") == mode:
            return env
        env.close()
    spec = copy.deepcopy(gymnasium.registry[env_id])
    spec.disable_env_checker = True  # as for a single environment; it costs each copy a call per step
    env = Copies([lambda: wrap(gymnasium.make(spec, **parameters), wrappers)] * num_envs, autoreset_mode=mode)
    spec.kwargs |= parameters
    env.spec = spec
    return env


def _check_render_mode(env: ForeignEnv, render_mode: str | None) -> ForeignEnv:
    """Refuses an environment that accepted a render mode which it does not support."""
    modes = env.metadata.get("render_modes", [])
    if render_mode is not None and render_mode not in modes:
        env.close()
        raise InvalidRequest(f"render_mode must be one of {', '.join(modes) or 'none'}, not {render_mode!r:.50}")
    return env


def warm() -> None:
    """Imports the installed simulators, so that a forked host makes its first environment without delay.

    Raises:
        RuntimeError: an import started a thread, which a fork would lose.
    """
    # Some simulators set environment variables, which other environments would otherwise see only in a host.
    with interpreters.environment_preserved():
        for module in WARM:
            if importlib.util.find_spec(module.partition(".")[0]) is not None:
                try:
                    importlib.import_module(module)
                except Exception:
                    continue  # reported when one of its environments is requested
    if os.path.isdir("/proc/self/task") and len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("importing the simulators started threads: set PRELOAD = False")
