"""Gymnasium's wrappers as part of a recipe: which ones a server puts around an environment, and with which arguments."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gymnasium
import numpy as np

from gymserve.environments.arguments import check_size
from gymserve.environments.foreign import close, pass_on_interrupt, words
from gymserve.protocol.errors import InvalidRequest, UnknownArgument
from gymserve.protocol.recipe import Wrapper

ALLOWED = (
    "AtariPreprocessing", "ClipAction", "ClipReward", "DelayObservation", "DiscretizeAction", "DiscretizeObservation",
    "DtypeObservation", "FilterObservation", "FlattenObservation", "FrameStackObservation", "GrayscaleObservation",
    "MaxAndSkipObservation", "RepeatAction", "RescaleAction", "RescaleObservation", "ReshapeObservation",
    "ResizeObservation", "StickyAction", "TimeAwareObservation",
)  # fmt: skip
"""Those that take plain data, write no files, and begin anew at each reset, so that an episode can be replayed alone."""

MOST = 8
_ARRAYS = ("RescaleAction", "RescaleObservation", "ClipReward")  # take arrays where others take tuples


def check(wrappers: Sequence[Wrapper]) -> None:
    """Refuses wrappers with other arguments than theirs.

    Raises:
        InvalidRequest: it says which wrapper and argument.
    """
    for wrapper in wrappers:
        names = list(inspect.signature(_class(wrapper)).parameters)[1:]
        for name in wrapper.kwargs:
            if name not in names:
                known = ", ".join(names) or "none"
                raise UnknownArgument(
                    f"wrappers: the unexpected keyword argument {name!r:.50} of {wrapper.name} is not among {known}"
                )
        check_size(wrapper.kwargs)


def wrapped(env: Any, wrappers: Sequence[Wrapper]) -> Any:
    """An environment inside of its wrappers.

    Raises:
        InvalidRequest: one of them does not go around it; the environment is closed then.
    """
    for wrapper in wrappers:
        try:
            env = _class(wrapper)(env, **{name: _value(wrapper, each) for name, each in wrapper.kwargs.items()})
        except BaseException as error:
            pass_on_interrupt(error)
            close(env)
            raise InvalidRequest(f"wrappers: {wrapper.name} does not go around this: {words(error)}") from error
    return env


def functions(wrappers: Sequence[Wrapper]) -> list[Callable[[Any], Any]]:
    """The same as `gymnasium.make_vec` takes them."""
    return [partial(wrapped, wrappers=[wrapper]) for wrapper in wrappers]


def _class(wrapper: Wrapper) -> Any:
    return getattr(gymnasium.wrappers, wrapper.name)


def _value(wrapper: Wrapper, value: Any) -> Any:
    """An argument as Gymnasium wants it: JSON has no tuples, arrays and dtypes."""
    if wrapper.name == "DtypeObservation":
        return np.dtype(value)
    if isinstance(value, list):
        return np.array(value, np.float32) if wrapper.name in _ARRAYS else tuple(value)
    return value
