"""What an agent and its instance say to each other, without I/O: questions to bytes, answers to values, and `seq`."""

import operator
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from gymnasium import spaces

from client.exceptions import ConnectionLost, InvalidValue, ServerError, named
from client.instance import Instance
from gymserve import errors, wire
from gymserve.compression import Compression
from gymserve.spaces import codec, jsonable

LIMIT = 2**30
"""Bytes that an answer may have."""

RESET, STEP, RENDER, CLOSE = wire.RESET, wire.STEP, wire.RENDER, wire.CLOSE
Asked = tuple[Any, ...]


class Conversation:
    """One instance's questions and answers.

    A reset or a step is asked with the next `seq`, and uses it up when it is answered. `unresolved` is a question that
    was sent and whose answer is unknown: asked again, it has the same `seq`, and is carried out once.
    """

    def __init__(self, instance: Instance, *, compression: str | None) -> None:
        action_space, observation_space = instance.spaces()
        self.token = instance.token
        self.seq = 0  # the last one that was used up
        self.asked: Asked = ()
        self.unresolved: Asked | None = None
        self.over_http = False
        self._batch = instance.is_batch
        self._compression = _compression(compression)
        self._actions = codec(action_space)
        self._observations = codec(observation_space)
        self._pack_action = self._actions.pack
        self._observe = _observer(observation_space) or self._unpack_observation
        packed: Any = Any if self._observe == self._unpack_observation else memoryview
        self._decode_step = _decoder(tuple[int, int | None, packed, Any, Any, Any, Any])  # type: ignore[valid-type]
        self._decode_reset = _decoder(tuple[int, int | None, packed | None, Any])  # type: ignore[valid-type]
        suffix = f"?compression={compression}" if compression else ""
        self.target = f"/v1/envs/{self.token}/stream{suffix}"

    # --- questions -----------------------------------------------------------------------------------------------

    def step(self, action: Any) -> bytes:
        """The message that asks for a step.

        Raises:
            InvalidValue: `action` has not the structure of the action space.
        """
        try:
            packed = self._pack_action(action, name="action")
        except errors.InvalidValue as error:
            raise InvalidValue(str(error), 400) from None
        self.asked = (STEP, packed)
        message = wire.pack((STEP, self.seq + 1, packed))
        return message if self._compression is None else self._compression.wrap(message)

    def reset(self, seed: Any, options: dict[str, Any] | None) -> bytes:
        """The message that asks for a reset."""
        if isinstance(seed, (list, tuple, np.ndarray)):
            seed = [None if one is None else operator.index(one) for one in seed]
        elif seed is not None:
            seed = operator.index(seed)
        self.asked = (RESET, seed, wire.pack(options))
        return self.message()

    def plain(self, kind: int) -> bytes:
        """The message that asks for a picture, or to close."""
        self.asked = (kind,)
        return self.message()

    def message(self) -> bytes:
        """What was asked last, as a message."""
        kind, *rest = self.asked
        if kind == RESET:
            rest = [rest[0], msgspec.Raw(rest[1])]
        message = wire.pack((kind, self.seq + 1 if kind in (RESET, STEP) else None, *rest))
        return message if self._compression is None else self._compression.wrap(message)

    def http(self) -> tuple[str, str, dict[str, Any] | None]:
        """What was asked last, as (method, path, body) of an HTTP call."""
        kind, *rest = self.asked
        path = f"/v1/envs/{self.token}"
        if kind == STEP:
            action = self._actions.to_json(self._actions.unpack(rest[0], check=False))
            return "POST", f"{path}/step/", {"action": action, "seq": self.seq + 1}
        if kind == RESET:
            options = jsonable(wire.unpack(rest[1]))
            return "POST", f"{path}/reset/", {"seed": rest[0], "options": options, "seq": self.seq + 1}
        return ("GET", f"{path}/render", None) if kind == RENDER else ("POST", f"{path}/close/", {})

    # --- answers -------------------------------------------------------------------------------------------------

    def read(self, message: Any) -> Any:
        """The result in an answer: of a step (observation, reward, terminated, truncated, info), of a reset
        (observation, info), of a render PNG bytes. There is no observation (None) where the trials of a graded instance
        are over.

        Raises:
            ServerError: the server refused; ConnectionLost: that is no answer to what was asked.
        """
        try:
            if self._compression is not None:
                message = self._compression.unwrap(message)
            if self.asked[0] == STEP:
                kind, seq, observation, reward, terminated, truncated, info = self._decode_step(message)
                if kind != STEP or seq != self.seq + 1:
                    raise ConnectionLost("the server answered another question than was asked")
                if self._batch:
                    reward, terminated, truncated = _doubles(reward), _flags(terminated), _flags(truncated)
                result: Any = (self._observe(observation), reward, terminated, truncated, info)
                self.seq = seq
                return result
            return self._read_other(message)
        except msgspec.ValidationError:
            return self._refused(message)
        except (msgspec.MsgspecError, errors.GymserveError, ValueError, TypeError, IndexError) as error:
            raise ConnectionLost(f"the server's answer is damaged: {error}") from error

    def _read_other(self, message: Any) -> Any:
        if self.asked[0] == RESET:
            kind, seq, observation, info = self._decode_reset(message)
            if kind != RESET or seq != self.seq + 1:
                raise ConnectionLost("the server answered another question than was asked")
            result = (None if observation is None else self._observe(observation)), info
            self.seq = seq
            return result
        answer = wire.unpack(message)
        if answer[0] != self.asked[0]:
            return self._refused(message)
        return answer[2] if self.asked[0] == RENDER else None

    def _refused(self, message: Any) -> Any:
        answer = wire.unpack(message)
        if answer[0] != wire.ERROR:
            raise ConnectionLost("the server answered another question than was asked")
        _, _, status, name, text, *wait = answer
        raise named(name, text, status, *wait)

    def read_http(self, told: Any) -> Any:
        """As `read`, of what an HTTP call answered."""
        kind = self.asked[0]
        if kind not in (RESET, STEP):
            return told
        try:
            observation, info = self._observation_of_json(told["observation"]), told["info"]
            if self._batch:
                info = _arrays(info)
            if kind == RESET:
                result: Any = (observation, info)
            elif self._batch:
                reward, terminated, truncated = told["reward"], told["terminated"], told["truncated"]
                result = observation, np.array(reward, np.float64), np.array(terminated), np.array(truncated), info
            else:
                info.pop("TimeLimit.truncated", None)  # for clients of old; no stream has it
                result = observation, float(told["reward"]), told["terminated"], told["truncated"], info
        except (TypeError, KeyError, ValueError, errors.GymserveError) as error:
            raise ServerError(f"the server's answer over HTTP cannot be read: {error}") from error
        self.seq += 1
        return result

    # --- after a question that nobody answered ---------------------------------------------------------------------

    def resolved(self) -> bool:
        """Whether `seq` is known to be right for what was asked last."""
        return self.unresolved is None or self.unresolved == self.asked

    def settle(self, told: dict[str, Any]) -> None:
        """Goes on from the `seq` that the server knows."""
        self.seq = told.get("seq") or 0
        self.unresolved = None

    # --- inside --------------------------------------------------------------------------------------------------

    def _unpack_observation(self, packed: Any) -> Any:
        return self._observations.unpack(packed, check=False, name="observation")

    def _observation_of_json(self, told: Any) -> Any:
        if told is None and self.asked[0] == RESET:
            return None
        return self._observations.from_json(told, name="observation")


def _compression(name: str | None) -> Compression | None:
    try:
        return Compression(name, LIMIT) if name else None
    except errors.InvalidRequest as error:
        raise ServerError(str(error)) from error


def _decoder(kind: Any) -> Callable[[Any], Any]:
    return msgspec.msgpack.Decoder(kind, ext_hook=wire.decode_extension).decode


def _observer(space: Any) -> Callable[[Any], Any] | None:
    """A quick way from a packed observation to an array of one's own, for the Box spaces that have one."""
    if type(space) is not spaces.Box or space.dtype.itemsize > 8:
        return None
    dtype, shape = space.dtype.newbyteorder("<"), space.shape
    size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))

    def observe(packed: memoryview) -> np.ndarray[Any, Any]:
        if len(packed) != size:
            raise ValueError(f"an observation has {len(packed)} bytes, expected {size}")
        # A large answer came in a buffer of its own, which the array may keep if it lies well in it.
        keep = dtype.itemsize == 1 and not packed.readonly
        return np.ndarray(shape, dtype, packed if keep else bytearray(packed))

    return observe


def _doubles(packed: bytes) -> np.ndarray[Any, Any]:
    return np.frombuffer(bytearray(packed), np.dtype("<f8"))


def _flags(packed: bytes) -> np.ndarray[Any, Any]:
    return np.frombuffer(bytearray(packed), np.bool_)


def _arrays(info: dict[str, Any]) -> dict[str, Any]:
    """A vector environment's info with arrays again where JSON made lists of them."""
    made: dict[str, Any] = {}
    for key, value in info.items():
        if isinstance(value, dict):
            made[key] = _arrays(value)
        elif isinstance(value, list) and (key.startswith("_") or f"_{key}" in info):
            plain = all(isinstance(one, (bool, int, float)) for one in value)
            made[key] = np.array(value) if plain else _objects(value)
        else:
            made[key] = value
    return made


def _objects(values: list[Any]) -> np.ndarray[Any, Any]:
    made = np.full(len(values), None, object)
    for i, value in enumerate(values):
        made[i] = np.array(value) if isinstance(value, list) else value
    return made
