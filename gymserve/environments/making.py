"""Making an environment of the catalogue; this happens in host processes."""

import copy
import importlib
import importlib.util
import os
import warnings
from typing import Any, Protocol

import gymnasium
from gymnasium.vector import AutoresetMode

from gymserve.errors import EnvironmentFailed, InvalidRequest

WARM = (
    "gymnasium.envs.classic_control", "gymnasium.envs.toy_text", "gymnasium.envs.box2d", "gymnasium.envs.mujoco",
    "mujoco", "ale_py", "ale_py.env", "opensim", "gymserve.environments.offloading.discrete",
)  # fmt: skip
_AUTORESET = {mode.value: mode for mode in AutoresetMode}


class Entry(Protocol):
    """What is needed of a catalogue's entry."""

    @property
    def id(self) -> str: ...


def make(
    environment: Entry,
    *,
    kwargs: dict[str, Any] | None = None,
    max_episode_steps: int | None = None,
    render_mode: str | None = None,
    num_envs: int = 1,
    autoreset: str | None = None,
) -> Any:
    """A `gymnasium.Env`, or a `gymnasium.vector.VectorEnv` where `num_envs` is more than 1.

    Args:
        autoreset: "NextStep" (default), "SameStep" or "Disabled", for a vector environment.

    Raises:
        InvalidRequest: it cannot be made like this.
        EnvironmentFailed: its constructor raised an error.
    """
    if render_mode == "human":
        raise InvalidRequest("render_mode 'human' needs a screen, and servers have none: use 'rgb_array'")
    if autoreset not in (None, *_AUTORESET):
        raise InvalidRequest(f"autoreset_mode must be one of {', '.join(_AUTORESET)}, not {autoreset!r:.50}")
    if num_envs == 1 and autoreset is not None:
        raise InvalidRequest("autoreset_mode is for vector instances: num_envs must be more than 1")
    given = dict(kwargs or {})
    if render_mode is not None:
        given["render_mode"] = render_mode
    if max_episode_steps is not None:
        given["max_episode_steps"] = max_episode_steps
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if num_envs == 1:
                return _checked(gymnasium.make(environment.id, disable_env_checker=True, **given), render_mode)
            return _checked(_make_vector(environment.id, num_envs, autoreset, given), render_mode)
        except InvalidRequest:
            raise
        except (Exception, SystemExit) as error:
            if kwargs:
                raise InvalidRequest(f"{environment.id} cannot be made with these kwargs: {_line(error)}") from error
            raise EnvironmentFailed(f"{environment.id} cannot be made: {_line(error)}") from error


def _make_vector(env_id: str, num_envs: int, autoreset: str | None, given: dict[str, Any]) -> Any:
    """Gymnasium's own choice: the vector entry point where there is one that knows the mode, else copies one by one."""
    mode = _AUTORESET[autoreset or "NextStep"]
    if gymnasium.registry[env_id].vector_entry_point is not None:
        env = gymnasium.make_vec(env_id, num_envs, "vector_entry_point", **given)
        if env.metadata.get("autoreset_mode") == mode:
            return env
        env.close()
    spec = copy.deepcopy(gymnasium.registry[env_id])
    spec.disable_env_checker = True  # as of one environment alone; it costs every copy a call a step
    return gymnasium.make_vec(spec, num_envs, "sync", vector_kwargs={"autoreset_mode": mode}, **given)


def _checked(env: Any, render_mode: str | None) -> Any:
    """Refuses an environment that took a render mode which it does not know."""
    modes = env.metadata.get("render_modes", [])
    if render_mode is not None and render_mode not in modes:
        env.close()
        raise InvalidRequest(f"render_mode must be one of {', '.join(modes) or 'none'}, not {render_mode!r:.50}")
    return env


def _line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:300] or type(error).__name__


def warm() -> None:
    """Imports what is installed of the simulators, so that a forked host makes its first environment at once.

    Raises:
        RuntimeError: an import started a thread, which a fork would lose.
    """
    for module in WARM:
        if importlib.util.find_spec(module.partition(".")[0]) is not None:
            try:
                importlib.import_module(module)
            except Exception:
                continue  # its environments will say so when they are asked for
    if os.path.isdir("/proc/self/task") and len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("importing the simulators started threads: set PRELOAD = False")
