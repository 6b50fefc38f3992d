"""What wrappers and training algorithms ask of an environment itself, beside Gymnasium's own methods."""

import json
from typing import Any

import numpy as np

from gymserve.environments.foreign import failure, pass_on_interrupt
from gymserve.hosts.instance.live import Instance
from gymserve.protocol import errors, wire

ASKABLE = (
    "np_random",
    "_frameskip",
    "get_action_meanings",
    "compute_reward",
    "ale.lives",
    "ale.getScreenGrayscale",
    "ale.getScreenRGB",
)
"""Attributes of `env.unwrapped`. None changes the environment, so they stand in no journal."""
_NOT_IN_TRIALS = ("np_random", "compute_reward")


def offered(instance: Instance) -> list[str]:
    """Which of `ASKABLE` an instance's environment has; a trial tells neither its luck nor its rewards in advance."""
    if instance.recipe.is_vector:
        return []
    names = [name for name in ASKABLE if name not in _NOT_IN_TRIALS or not instance.recipe.is_graded]
    return [name for name in names if name == "np_random" or _found(instance.recorded.env, name) is not None]


def ask(instance: Instance, name: Any, arguments: Any) -> Any:
    """The answer to one question: an attribute's value, or what it answers to `arguments`.

    Raises:
        InvalidRequest: the environment does not offer it.
        EnvironmentFailed: it raised an error, or answered what cannot be sent.
    """
    if name not in (names := offered(instance)) or not isinstance(arguments, list):
        offers = ", ".join(names) or "nothing"
        raise errors.InvalidRequest(f"{name!r:.50} cannot be asked of this instance, which offers {offers}")
    if name == "np_random":
        return _state(instance.recorded.env)
    found = _found(instance.recorded.env, name)
    try:
        answer = found(*arguments) if callable(found) else found
        wire.pack(wire.typed(answer))
    except BaseException as error:
        raise failure(error) from error
    return answer


def _state(env: Any) -> str | None:
    """The state of an environment's random generator as JSON; None if it has none, or another than Gymnasium's."""
    bits = getattr(_found(env, "_np_random"), "bit_generator", None)
    return json.dumps(bits.state) if type(bits) is np.random.PCG64 else None


def _found(env: Any, name: str) -> Any:
    part = getattr(env, "unwrapped", None)
    try:
        for each in name.split("."):
            part = getattr(part, each, None)
    except BaseException as error:  # a property of the environment's
        pass_on_interrupt(error)
        return None
    return part
