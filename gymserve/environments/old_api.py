"""Adapts environments with the API of gym before 0.26.

There `reset()` returns an observation, `step` returns four values, `seed(seed)` seeds, and `render(mode)` has a parameter for
the mode.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache, partial

import gymnasium
from gymnasium.envs.registration import load_env_creator

from gymserve.protocol.generics import ForeignEnv, Value


def takes_mode_per_call(env_id: str) -> bool:
    """Whether an environment's `render` has a parameter for the mode, and its constructor does not."""
    entry_point = gymnasium.registry[env_id].entry_point
    creator = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    return isinstance(creator, type) and _renders_by_mode(creator) and not _has(creator, "render_mode")


def adapt(env: ForeignEnv, render_mode: str | None) -> None:
    """Gives the innermost environments Gymnasium's API, if their `reset` takes no seed or their `render` takes a mode."""
    inner = env.unwrapped
    copies = getattr(inner, "envs", None)
    for each in copies or [inner]:
        old = each.unwrapped
        if _renders_by_mode(type(old)) and not _has(type(old), "render_mode"):  # type: ignore[arg-type]  # a type is hashable
            old.render, old.render_mode = partial(old.render, mode=render_mode), render_mode
            old.metadata = _metadata(old.metadata)
            if copies:
                inner.render_mode, inner.metadata = render_mode, {**inner.metadata, **old.metadata}
        if _is_old(type(old)):  # type: ignore[arg-type]  # a type is hashable
            old.reset = partial(_reset, old, old.reset)
            old.step = partial(_step, old.step)


def _metadata(old: Mapping[str, object]) -> dict[str, object]:
    """The metadata, with Gymnasium's keys added."""
    named = {"render_modes": old.get("render.modes", []), "render_fps": old.get("video.frames_per_second")}
    return {**{name: value for name, value in named.items() if value is not None}, **old}


@cache
def _renders_by_mode(kind: type) -> bool:
    return _has(kind.render, "mode", exactly=True)  # type: ignore[attr-defined]  # any environment has `render`


def _has(function: Callable[..., object], name: str, *, exactly: bool = False) -> bool:
    """Whether a function has a parameter of this name; unless `exactly`, **kwargs counts too."""
    try:
        parameters = inspect.signature(function).parameters
    except (AttributeError, TypeError, ValueError):
        return False
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    return name in parameters or (takes_any and not exactly)


@cache
def _is_old(kind: type) -> bool:
    return issubclass(kind, gymnasium.Env) and not _has(kind.reset, "seed")


def _reset(
    env: ForeignEnv, reset: Callable[[], Value], *, seed: int | None = None, options: object = None
) -> tuple[object, ...]:
    gymnasium.Env.reset(env, seed=seed)
    if seed is not None and callable(getattr(env, "seed", None)):
        env.seed(seed)
    answer = reset()
    with_info = isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict)
    return answer if with_info else (answer, {})


def _step(step: Callable[[Value], tuple[Value, ...]], action: Value) -> tuple[Value, ...]:
    answer = step(action)
    if len(answer) != 4:
        return answer
    observation, reward, done, info = answer
    truncated = bool(done) and bool(info.get("TimeLimit.truncated", False))
    return observation, reward, bool(done) and not truncated, truncated, info
