"""Questions: attributes and methods of an environment that wrappers and training algorithms use besides Gymnasium's own."""

import json
from typing import Any

import numpy as np

from gymserve.environments.foreign import failure, pass_on_interrupt
from gymserve.hosts.instance.live import LiveInstance
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
"""Attributes of `env.unwrapped`. None of them changes the environment, so journals do not record their use."""
_NOT_IN_TRIALS = ("np_random", "compute_reward")


def list_offers(instance: LiveInstance) -> list[str]:
    """The names in `ASKABLE` that an instance answers. Graded ones hide those that would reveal randomness or rewards."""
    if instance.recipe.is_vector:
        return []
    names = [name for name in ASKABLE if name not in _NOT_IN_TRIALS or not instance.recipe.is_graded]
    return [name for name in names if name == "np_random" or _attribute(instance.recorded.env, name) is not None]


def ask(instance: LiveInstance, name: Any, arguments: Any) -> object:
    """Answers one question: an attribute's value, or the result of calling it with `arguments`.

    Raises:
        InvalidRequest: the instance does not offer this name.
        EnvironmentFailed: the environment raised an error, or the answer cannot be encoded.
    """
    if name not in (names := list_offers(instance)) or not isinstance(arguments, list):
        offers = ", ".join(names) or "nothing"
        raise errors.InvalidRequest(f"{name!r:.50} cannot be asked of this instance, which offers {offers}")
    if name == "np_random":
        return _state(instance.recorded.env)
    attribute = _attribute(instance.recorded.env, name)
    try:
        answer = attribute(*arguments) if callable(attribute) else attribute
        wire.pack(wire.typed(answer))
    except BaseException as error:
        raise failure(error) from error
    return answer


def _state(env: object) -> str | None:
    """The state of an environment's random generator as JSON, or None if it has none of Gymnasium's type."""
    bits = getattr(_attribute(env, "_np_random"), "bit_generator", None)
    return json.dumps(bits.state) if type(bits) is np.random.PCG64 else None


def _attribute(env: object, name: str) -> object:
    """Resolves a dotted name on `env.unwrapped`; None if a part is missing or raises an error."""
    part = getattr(env, "unwrapped", None)
    try:
        for each in name.split("."):
            part = getattr(part, each, None)
    except BaseException as error:  # a property may raise anything
        pass_on_interrupt(error)
        return None
    return part
