"""Trial plans: the seed, options and kwargs of each trial of a graded instance, and how they are kept out of `info`."""

import base64
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from gymserve.protocol import errors, wire
from gymserve.protocol.recipe import MAX_TRIALS, Trial

MAX_SEED = 2**63 - 1
MIN_SECRET = 1 << 16  # smaller numbers are too common to be recognised as secrets
_SECRET_NAME = re.compile(r"seed|np_random|bit_generator|rng", re.IGNORECASE)


def parse_trials(trials: object) -> tuple[Trial, ...]:
    """Parses a plan `[{"seed": int, "options": dict | None, "kwargs": dict}, …]`.

    Raises:
        InvalidRequest: the plan is malformed.
    """
    if not isinstance(trials, list) or not 0 < len(trials) <= MAX_TRIALS:
        raise errors.InvalidRequest(f"trials must be a list of 1 to {MAX_TRIALS} trials")
    return tuple(_parse_trial(trial, number) for number, trial in enumerate(trials, 1))


def _parse_trial(trial: object, number: int) -> Trial:
    if not isinstance(trial, dict) or not trial.keys() <= {"seed", "options", "kwargs"}:
        raise errors.InvalidRequest(f"trial {number} must be an object with seed, options and kwargs")
    seed, options, kwargs = trial.get("seed"), trial.get("options"), trial.get("kwargs") or {}
    if type(seed) is not int or not 0 <= seed <= MAX_SEED:
        raise errors.InvalidRequest(f"trial {number}: seed must be an integer from 0 to 2**63 - 1")
    if not isinstance(options, (dict, type(None))) or not isinstance(kwargs, dict):
        raise errors.InvalidRequest(f"trial {number}: options and kwargs must be objects")
    return Trial(seed, options, kwargs)


class Secrets:
    """The secrets of a trial that `info` must not reveal: the seed in any notation, the options and the kwargs.

    In options and kwargs, at any depth, the names are secret, and so are the values that are unlikely to occur by chance:
    strings of more than three characters, integers from MIN_SECRET, and fractions of five digits or more.
    """

    def __init__(self, trial: Trial) -> None:
        hidden = {**(trial.options or {}), **trial.kwargs}
        self._names: set[str] = set()
        leaves = list(_leaves(hidden, self._names))
        self._texts = {leaf for leaf in leaves if isinstance(leaf, str) and len(leaf) > 3}
        self._numbers = {leaf for leaf in leaves if _is_distinctive(leaf)}
        if trial.seed >= MIN_SECRET:
            halves = [half for half in (trial.seed >> 32, trial.seed % 2**32) if half >= MIN_SECRET]
            self._numbers |= {trial.seed, float(trial.seed), *halves}
            for number in (trial.seed, *halves):
                self._texts |= {f"{number:{form}}" for form in "dxXob"}
            for order in ("<u8", ">u8"):
                encoded = base64.b64encode(np.array(trial.seed, order).tobytes()).decode().rstrip("=")
                self._texts |= {encoded, encoded.translate(_URL_SAFE)}
        words = [text.encode() for text in sorted(self._names | self._texts)]
        numbers = [form for number in sorted(self._numbers) for form in _encodings(number)]
        patterns = [re.escape(needle) for needle in words + numbers]
        self._search = re.compile(b"|".join([rb"(?i:seed|np_random|bit_generator|rng)", *patterns])).search

    def redact(self, info: bytes) -> bytes:
        """Removes the secrets from a packed info. Nearly always there are none, and it returns `info` itself."""
        return wire.pack_info(self._redact(wire.unpack(info))) if self._search(info) else info

    def _redact(self, value: object) -> Any:
        if isinstance(value, dict):
            kept = {name: self._redact(each) for name, each in value.items() if not self._is_secret_name(str(name))}
            return {name: each for name, each in kept.items() if each is not _REMOVED}
        if isinstance(value, (list, tuple)):
            members = [each for each in map(self._redact, value) if each is not _REMOVED]
            return tuple(members) if isinstance(value, tuple) else members
        return _REMOVED if self._is_secret(value) else value

    def _is_secret_name(self, name: str) -> bool:
        return name in self._names or bool(_SECRET_NAME.search(name)) or any(text in name for text in self._texts)

    def _is_secret(self, value: object) -> bool:
        if isinstance(value, str):
            return any(text in value for text in self._texts)
        if isinstance(value, bytes):
            return bool(self._search(value))
        if isinstance(value, np.ndarray):
            is_secret = value.dtype.kind in "iuf" and bool(np.isin(value, list(self._numbers)).any())
            return is_secret or bool(self._search(value.tobytes()))
        return not isinstance(value, bool) and isinstance(value, (int, float)) and value in self._numbers


def _leaves(value: object, names: set[str]) -> Iterator[Any]:
    """Yields the leaves of nested dicts and lists, and adds the dicts' keys to `names`."""
    if isinstance(value, dict):
        names |= {str(name) for name in value}
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _leaves(each, names)
    else:
        yield value


def _is_distinctive(value: object) -> bool:
    """Whether a value is an integer from MIN_SECRET, or a fraction of five digits or more, of either sign."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or abs(value) == np.inf:
        return False
    return abs(value) >= MIN_SECRET if value == int(value) else len(re.sub(r"e.*|\D", "", repr(value)).lstrip("0")) >= 5


def _encodings(number: float) -> Iterator[bytes]:
    """Yields the bytes that a number may have in msgpack and in arrays."""
    for kind in ("u8", "u4", "i8", "f8", "f4"):
        with np.errstate(over="ignore", invalid="ignore"):
            for order in "<>":
                if kind[0] == "f" or (isinstance(number, int) and np.iinfo(kind).min <= number <= np.iinfo(kind).max):
                    yield np.array(number, order + kind).tobytes()


_URL_SAFE = str.maketrans("+/", "-_")
_REMOVED = object()
