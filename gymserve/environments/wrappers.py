"""Gymnasium's wrappers as part of a recipe: the allowed ones, their arguments, and how to apply them."""

import inspect
from collections.abc import Sequence

import gymnasium
import numpy as np

from gymserve.environments.arguments import check_size
from gymserve.environments.foreign import close, error_text, pass_on_interrupt
from gymserve.protocol.errors import InvalidRequest, UnknownArgument
from gymserve.protocol.generics import ForeignEnv, Value
from gymserve.protocol.recipe import Wrapper
from gymserve.protocol.wire import JSONValue

ALLOWED = (
    "AtariPreprocessing", "ClipAction", "ClipReward", "DelayObservation", "DiscretizeAction", "DiscretizeObservation",
    "DtypeObservation", "FilterObservation", "FlattenObservation", "FrameStackObservation", "GrayscaleObservation",
    "MaxAndSkipObservation", "RepeatAction", "RescaleAction", "RescaleObservation", "ReshapeObservation",
    "ResizeObservation", "StickyAction", "TimeAwareObservation",
)  # fmt: skip
"""Wrappers that take plain data, write no files, and start afresh at each reset, so that an episode can be replayed alone."""

MOST = 8
_ARRAYS = ("RescaleAction", "RescaleObservation", "ClipReward")  # these take arrays, others take tuples


def check(wrappers: Sequence[Wrapper]) -> None:
    """Refuses wrappers with arguments that they do not have.

    Raises:
        InvalidRequest: the message gives the wrapper and the argument.
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


def wrap(env: ForeignEnv, wrappers: Sequence[Wrapper]) -> ForeignEnv:
    """Wraps an environment.

    Raises:
        InvalidRequest: a wrapper cannot be applied; the environment is then closed.
    """
    for wrapper in wrappers:
        try:
            env = _class(wrapper)(env, **{name: _value(wrapper, each) for name, each in wrapper.kwargs.items()})
        except BaseException as error:
            pass_on_interrupt(error)
            close(env)
            raise InvalidRequest(f"wrappers: {wrapper.name} cannot be applied: {error_text(error)}") from error
    return env


def _class(wrapper: Wrapper) -> type[gymnasium.Wrapper[Value, Value, Value, Value]]:
    kind: type[gymnasium.Wrapper[Value, Value, Value, Value]] = getattr(gymnasium.wrappers, wrapper.name)
    return kind


def _value(wrapper: Wrapper, value: JSONValue) -> object:
    """An argument in the type that Gymnasium expects, since JSON has no tuples, arrays or dtypes."""
    if wrapper.name == "DtypeObservation":
        return np.dtype(value)
    if isinstance(value, list):
        return np.array(value, np.float32) if wrapper.name in _ARRAYS else tuple(value)
    return value
