"""A plan of trials: which seed, options and kwargs each trial of a graded instance has, and how they are kept secret."""

import json
import re
from typing import Any

import numpy as np

from gymserve import environments, errors, wire
from gymserve.environments.clipping import ClipActions

MAX_SEED = 2**63 - 1
MAX_TRIALS = 10_000
SHORT = 1 << 16  # a smaller number is no secret that could be told from others
_SECRETIVE = re.compile(r"seed|np_random|bit_generator|rng", re.IGNORECASE)


def checked(trials: Any) -> list[dict[str, Any]]:
    """A plan in order: `[{"seed": int, "options": dict | None, "kwargs": dict}, …]`.

    Raises:
        InvalidRequest: it is none.
    """
    if not isinstance(trials, list) or not 0 < len(trials) <= MAX_TRIALS:
        raise errors.InvalidRequest(f"trials must be a list of 1 to {MAX_TRIALS} trials")
    return [_checked(trial, number) for number, trial in enumerate(trials, 1)]


def _checked(trial: Any, number: int) -> dict[str, Any]:
    if not isinstance(trial, dict) or not trial.keys() <= {"seed", "options", "kwargs"}:
        raise errors.InvalidRequest(f"trial {number} must be an object with seed, options and kwargs")
    seed, options, kwargs = trial.get("seed"), trial.get("options"), trial.get("kwargs") or {}
    if type(seed) is not int or not 0 <= seed <= MAX_SEED:
        raise errors.InvalidRequest(f"trial {number}: seed must be an integer from 0 to 2**63 - 1")
    if not isinstance(options, (dict, type(None))) or not isinstance(kwargs, dict):
        raise errors.InvalidRequest(f"trial {number}: options and kwargs must be objects")
    return {"seed": seed, "options": options, "kwargs": kwargs}


def order(meta: dict[str, Any], trial: int) -> dict[str, Any]:
    """How the environment of a trial (from 0) is made; after the last one, and before the first, as its neighbour."""
    plan = meta["trials"]
    kwargs = plan[min(max(trial, 0), len(plan) - 1)]["kwargs"]
    return {**meta, "kwargs": {**meta["kwargs"], **kwargs}}


def make(catalogue: environments.Catalogue, order: dict[str, Any], *, render_mode: str | None = None) -> Any:
    """The environment that an order (a journal's first record, or what `order` made of it) describes.

    Raises:
        UnknownEnvironment: it is not in the catalogue (any more).
        EnvironmentFailed: it cannot be made; of a graded instance's, nothing more is said.
    """
    try:
        env = environments.make(
            catalogue.resolve(order["environment"]),
            kwargs=order["kwargs"],
            max_episode_steps=order["max_episode_steps"],
            render_mode=render_mode or order["render_mode"],
            num_envs=order["num_envs"],
            autoreset=order["autoreset_mode"],
        )
        return ClipActions(env) if order.get("clip_actions") else env
    except errors.GymserveError as error:
        if "trials" not in order:
            raise
        cause = error.__cause__ or error
        text = f"the trial's environment {order['environment']} cannot be made ({type(cause).__name__})"
        raise errors.EnvironmentFailed(text) from cause


_MAKING = ("environment", "kwargs", "max_episode_steps", "render_mode", "num_envs", "autoreset_mode", "clip_actions")


def kind(meta: dict[str, Any]) -> str:
    """What decides how an instance's first environment is made: the same text, and the one may stand for the other."""
    first = order(meta, 0) if "trials" in meta else meta
    return json.dumps({name: first.get(name) for name in _MAKING}, sort_keys=True)


class Secrets:
    """What an environment's `info` must not tell of its trial: the seed, however it is written, and the options."""

    def __init__(self, trial: dict[str, Any]) -> None:
        self._seed = trial["seed"]
        hidden = {**(trial["options"] or {}), **trial["kwargs"]}
        self._names = {str(name) for name in hidden}
        self._texts = {value for value in hidden.values() if isinstance(value, str) and len(value) > 3}
        numbers: list[bytes] = []
        if self._seed >= SHORT:
            seed = self._seed
            self._texts |= {str(seed), f"{seed:x}", f"{seed:X}"}
            for size in (8, 4) if seed < 2**32 else (8,):
                numbers += [seed.to_bytes(size, "big"), seed.to_bytes(size, "little")]
            for double in (np.array(seed, ">f8"), np.array(seed, "<f8")):
                numbers.append(double.tobytes())
        words = [name.encode() for name in sorted(self._names)] + [text.encode() for text in sorted(self._texts)]
        patterns = [re.escape(needle) for needle in words + numbers]
        self._found = re.compile(b"|".join([rb"(?i:seed|np_random|bit_generator|rng)", *patterns])).search

    def filtered(self, info: bytes) -> bytes:
        """A packed info without what it must not tell; nearly always the very same bytes."""
        return wire.pack(self._without(wire.unpack(info))) if self._found(info) else info

    def _without(self, value: Any) -> Any:
        if isinstance(value, dict):
            kept = {name: self._without(each) for name, each in value.items() if not self._secret_name(str(name))}
            return {name: each for name, each in kept.items() if each is not _GONE}
        if isinstance(value, (list, tuple)):
            return [each for each in map(self._without, value) if each is not _GONE]
        return _GONE if self._secret(value) else value

    def _secret_name(self, name: str) -> bool:
        return name in self._names or bool(_SECRETIVE.search(name)) or any(text in name for text in self._texts)

    def _secret(self, value: Any) -> bool:
        if isinstance(value, str):
            return any(text in value for text in self._texts)
        if isinstance(value, bytes):
            return bool(self._found(value))
        if self._seed < SHORT or isinstance(value, bool):
            return False
        if isinstance(value, np.ndarray):
            return bool(value.dtype.kind in "iuf" and np.any(value == self._seed)) or bool(self._found(value.tobytes()))
        return bool(value == self._seed or (isinstance(value, float) and value == float(self._seed)))


_GONE = object()
