"""The stream format of requests and replies, without I/O: msgpack arrays, see `docs/agents/stream.md`."""

from collections.abc import Callable
from functools import partial
from types import GenericAlias
from typing import Any

import msgspec
import numpy as np
from gymnasium import Space, spaces
from numpy.typing import NDArray

from gymserve.client.transport.exceptions import ConnectionLost, InvalidValue, ServerError, server_error
from gymserve.client.transport.instance import Instance
from gymserve.client.transport.websocket import MAX_MESSAGE
from gymserve.protocol import errors, wire
from gymserve.protocol.compression import Compression
from gymserve.protocol.spaces import codec

RESET, STEP, RENDER, CALL = wire.RESET, wire.STEP, wire.RENDER, wire.ASK
Request = tuple[Any, ...]
"""(kind, arguments …), packed: a message without its `seq`. Equal requests are the same request."""

MISMATCH = "the server replied to another request than was sent"
_DAMAGE = (msgspec.MsgspecError, errors.GymserveError, ValueError, TypeError, LookupError, AttributeError)
"""The errors that decoding a damaged reply can raise."""


class StreamFormat:
    """Encodes one instance's requests, and decodes the replies.

    Raises:
        ServerError: `compression` is unknown, or its package is not installed.
    """

    def __init__(self, instance: Instance, *, compression: str | None) -> None:
        action_space, observation_space = instance.spaces()
        self._batch = instance.is_batch
        self._compression = _compression(compression)
        self._pack_action = codec(action_space).pack
        quick = _quick_unpack(observation_space)
        self._unpack_observation = quick or _unpack_with_codec(observation_space)
        packed: Any = memoryview if quick else Any
        self._decode_step = _decoder(int, int | None, packed, Any, Any, Any, Any)
        self._decode_reset = _decoder(int, int | None, packed | None, Any)

    def encode_step(self, action: object, seq: int) -> tuple[Request, bytes]:
        """The request for a step, and its message.

        Raises:
            InvalidValue: `action` is not in the action space.
        """
        try:
            packed = self._pack_action(action, name="action")
        except errors.InvalidValue as error:
            raise InvalidValue(str(error), 400) from None
        message = wire.pack((STEP, seq, packed))
        return (STEP, packed), message if self._compression is None else self._compression.wrap(message)

    def encode(self, request: Request, seq: int | None) -> bytes:
        """The message that sends `request`."""
        message = wire.pack((request[0], seq, *request[1:]))
        return message if self._compression is None else self._compression.wrap(message)

    def decode(self, message: bytes | bytearray, kind: int, seq: int) -> Any:
        """The result in the reply to a request of this `kind`.

        Returns:
            Of a step (observation, reward, terminated, truncated, info), of a reset (observation, info), where the
            observation is None once the trials of a graded instance are over; of a render PNG bytes.

        Raises:
            ServerError: the server refused.
            ConnectionLost: that is no reply to the request.
        """
        try:
            if self._compression is not None:
                message = self._compression.unwrap(message)
            if kind == STEP:
                reply, number, observation, reward, terminated, truncated, info = self._decode_step(message)
                if reply != STEP or number != seq:
                    raise ConnectionLost(MISMATCH)
                if self._batch:
                    reward, terminated, truncated = _doubles(reward), _flags(terminated), _flags(truncated)
                return self._unpack_observation(observation), reward, terminated, truncated, info
            return self._decode_other(message, kind, seq)
        except msgspec.ValidationError:
            raise _refusal(message) from None
        except _DAMAGE as error:
            raise _damaged(error) from error

    def _decode_other(self, message: bytes | bytearray, kind: int, seq: int) -> Any:
        if kind == RESET:
            reply, number, observation, info = self._decode_reset(message)
            if reply != RESET or number != seq:
                raise ConnectionLost(MISMATCH)
            return (None if observation is None else self._unpack_observation(observation)), info
        reply, _, value, *_ = wire.unpack(message)
        if reply != kind:
            raise _refusal(message)
        return value


def _refusal(message: bytes | bytearray) -> ServerError:
    """The error in a reply that is not a result."""
    try:
        kind, _, *rest = wire.unpack(message)
        if kind != wire.ERROR:
            return ConnectionLost(MISMATCH)
        status, name, text, *retry_after = rest
        return server_error(name, text, status, *retry_after)
    except _DAMAGE as error:
        return _damaged(error)


def _damaged(error: Exception) -> ConnectionLost:
    return ConnectionLost(f"the server's reply is damaged: {error}")


def _compression(name: str | None) -> Compression | None:
    try:
        return Compression(name, MAX_MESSAGE) if name else None
    except errors.InvalidRequest as error:
        raise ServerError(str(error)) from error


def _decoder(*parts: object) -> Callable[[Any], Any]:
    return msgspec.msgpack.Decoder(GenericAlias(tuple, parts), ext_hook=wire.decode_extension).decode


def _unpack_with_codec(space: Space[Any]) -> Callable[[Any], Any]:
    return partial(codec(space).unpack, check=False, name="observation")


def _quick_unpack(space: Space[Any]) -> Callable[[Any], Any] | None:
    """A quick way from a packed observation to a writable array, for the Box spaces that have one."""
    if type(space) is not spaces.Box or space.dtype.itemsize > 8:
        return None
    dtype, shape = space.dtype.newbyteorder("<"), space.shape
    size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))

    def unpack(packed: memoryview) -> NDArray[Any]:
        if len(packed) != size:
            raise ValueError(f"an observation has {len(packed)} bytes, expected {size}")
        # A large reply came in a buffer of its own, which the array may keep if its elements are aligned there.
        keep = dtype.itemsize == 1 and not packed.readonly
        return np.ndarray(shape, dtype, packed if keep else bytearray(packed))

    return unpack


def _doubles(packed: bytes) -> NDArray[np.float64]:
    return np.frombuffer(bytearray(packed), np.dtype("<f8"))


def _flags(packed: bytes) -> NDArray[np.bool_]:
    return np.frombuffer(bytearray(packed), np.bool_)
