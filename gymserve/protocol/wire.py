"""The wire formats: strict JSON, msgpack with arrays, and WebSocket frames (RFC 6455), all without I/O.

Hosts and the client both use this module; `docs/agents/stream.md` describes the formats.
"""

import base64
import hashlib
import json
import math
import random
import re
import struct
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec
import numpy as np
from gymnasium.spaces import GraphInstance

from gymserve.protocol import errors, text
from gymserve.protocol.errors import InvalidRequest

JSONValue: TypeAlias = Any
"""Any JSON: it is read with code that checks it. msgspec describes neither `object` nor a type that contains itself."""
JSONObject: TypeAlias = dict[str, JSONValue]

# Kinds of messages on a stream: the first element of a binary message.
RESET, STEP, RENDER, CLOSE, ERROR, ASK = range(6)
OPERATIONS = {"reset": RESET, "step": STEP, "render": RENDER, "close": CLOSE}
OPERATION_NAMES = [*OPERATIONS, "error"]

# WebSocket opcodes.
CONTINUATION, TEXT, BINARY, CLOSING, PING, PONG = 0, 1, 2, 8, 9, 10

STATUS = {
    errors.InvalidRequest: 400,
    errors.Untrainable: 422,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.UnknownInstance: 400,  # the clients of the old server expect this
    errors.Conflict: 409,
    errors.KeyReused: 422,
    errors.LimitReached: 429,
    errors.EnvironmentFailed: 500,
    errors.Unavailable: 503,
    errors.DatabaseFull: 507,
    errors.StepTimeout: 504,
    errors.StorageFull: 507,
}
"""The HTTP status of each error, which the stream sends too."""

# msgpack extensions: a numpy array as msgpack [dtype, shape, bytes]; a tuple, and a graph, as a msgpack array.
ARRAY, TUPLE, GRAPH = 1, 2, 3
MAX_SEQ = 2**32 - 1


def status(error: errors.GymserveError) -> int:
    """The status of an error: that of its nearest class in `STATUS`."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


# --- JSON ---------------------------------------------------------------------------------------------------------


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise InvalidRequest(f"the number {digits[:30]} is too large")
    return number


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= (number := int(digits)) < 2**64:
        raise InvalidRequest(f"the integer {digits[:30]}{'…' if len(digits) > 30 else ''} does not fit into 64 bits")
    return number


def _refuse_constant(name: str) -> None:
    raise InvalidRequest(f"{name} is not JSON: numbers must be finite")


_json = json.JSONDecoder(
    object_pairs_hook=text.members, parse_float=_finite, parse_int=_integer, parse_constant=_refuse_constant
)


def read_json(data: bytes | str) -> JSONValue:
    """Parses JSON.

    It is stricter than `json.loads`: it refuses duplicate keys, NaN, numbers that overflow, integers beyond 64 bits, text
    that `text.check` refuses, and more than `text.check_size` allows.

    Raises:
        InvalidRequest: `data` is not such JSON.
    """
    try:
        if len(data) > text.MAX_DEPTH:  # shorter data cannot exceed any limit
            text.check_size(data if isinstance(data, bytes) else data.encode())
        decoded = data.decode() if isinstance(data, bytes) else data
        value = _json.decode(decoded)
        if not decoded.isascii():
            text.check(decoded)
        if "\\u" in decoded:
            text.check_all(value)
    except RecursionError:
        raise InvalidRequest(text.TOO_DEEP) from None
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are both ValueErrors
        raise InvalidRequest(f"Request is not a valid json: {error}") from None
    return value


write_json = msgspec.json.Encoder().encode


# --- msgpack ------------------------------------------------------------------------------------------------------


def _encode_numpy(value: object) -> object:
    """Encodes numpy values, which environments put into `info`; anything else is converted to text."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return msgspec.msgpack.Ext(ARRAY, _array_head(value.dtype, value.shape, value.nbytes) + value.tobytes())
    return value.tolist() if isinstance(value, np.ndarray) else str(value)


@lru_cache(1024)  # an environment's `info` has the same few kinds of arrays at each step
def _array_head(dtype: np.dtype, shape: tuple[int, ...], size: int) -> bytes:
    """Encodes an array of `size` bytes up to these bytes."""
    return msgspec.msgpack.encode((dtype.str, shape, bytes(size)))[: -size or None]


def decode_extension(code: int, data: memoryview) -> object:
    if code == TUPLE:
        return tuple(_unpack(data))
    if code == GRAPH:
        return GraphInstance(*_unpack(data))
    if code != ARRAY:
        raise InvalidRequest(f"unknown msgpack extension {code}")
    name, shape, raw = _read_array(data)
    dtype = _dtype(name)
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise InvalidRequest(f"an array of {name} and shape {shape} cannot have {len(raw)} bytes")
    return np.ndarray(shape, dtype, raw)


@lru_cache(256)
def _dtype(name: str) -> np.dtype:
    if not _DTYPE.fullmatch(name):
        raise InvalidRequest(f"{name!r:.50} is not a type of array elements")
    return np.dtype(name)


# Type codes as numpy writes them. Python objects are not allowed, nor types of size 0, since any number of them would fit.
_DTYPE = re.compile(r"[<>|=][biufcSUVmM][1-9][0-9]{0,8}(\[\w{1,20}\])?")
_read_array = msgspec.msgpack.Decoder(tuple[str, tuple[int, ...], bytearray]).decode

pack = msgspec.msgpack.Encoder(enc_hook=_encode_numpy).encode
"""Encodes any message as msgpack; numpy arrays become extension 1."""

_unpack = msgspec.msgpack.Decoder(ext_hook=decode_extension).decode


def unpack(data: bytes | bytearray) -> Any:  # any message
    """The inverse of `pack`.

    Raises:
        InvalidRequest: `data` is not msgpack, or an array in it is incomplete.
    """
    try:
        return _unpack(data)
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidRequest(f"not a valid msgpack message: {error}") from None


_PLAIN = frozenset((int, float, str, bool, type(None), np.float64, np.float32, np.int64, np.int32, np.bool_))


def pack_info(info: dict[str, object]) -> bytes:
    """Packs an environment's `info`; tuples and graphs become extensions, so that they are not decoded as lists."""
    return pack(info if _PLAIN.issuperset(map(type, info.values())) else typed(info))


def typed(value: object) -> object:
    """Converts the tuples and graphs in `value` to extensions 2 and 3; `pack` alone would make them lists."""
    if isinstance(value, tuple):
        code = GRAPH if isinstance(value, GraphInstance) else TUPLE
        return msgspec.msgpack.Ext(code, pack([typed(element) for element in value]))
    if isinstance(value, dict):
        return {key: typed(element) for key, element in value.items()}
    if isinstance(value, list) or (isinstance(value, np.ndarray) and value.dtype.hasobject):  # most elements are None
        return [element if element is None else typed(element) for element in value]
    return value


# --- WebSocket ----------------------------------------------------------------------------------------------------

_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_key(key: str) -> str:
    """Computes `Sec-WebSocket-Accept` from a `Sec-WebSocket-Key` (RFC 6455, section 1.3)."""
    return base64.b64encode(hashlib.sha1(key.encode() + _ACCEPT, usedforsecurity=False).digest()).decode()


def masked(payload: bytes | bytearray | memoryview, key: bytes) -> bytes:
    """Masks or unmasks a payload: XOR with the repeated 4-byte `key`."""
    size = len(payload)
    if size <= 1024:  # one XOR of big integers is faster than numpy's call overhead
        repeated = (key * (size // 4 + 1))[:size]
        return (int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")
    whole = size - size % 8
    words = np.frombuffer(payload, np.uint64, whole // 8) ^ np.frombuffer(key * 2, np.uint64)
    return words.tobytes() + masked(payload[whole:], key) if size > whole else words.tobytes()


def head(opcode: int, size: int, *, mask: bool = False) -> bytes:
    """Encodes the head of a final WebSocket frame, without the masking key and the payload."""
    bit = 0x80 if mask else 0
    if size < 126:
        return bytes((0x80 | opcode, bit | size))
    if size < 65536:
        return struct.pack(">BBH", 0x80 | opcode, bit | 126, size)
    return struct.pack(">BBQ", 0x80 | opcode, bit | 127, size)


def frame(opcode: int, payload: bytes, *, mask: bool = False) -> bytes:
    """Encodes a final WebSocket frame; clients must `mask`, servers must not."""
    if not mask:
        return head(opcode, len(payload)) + payload
    size, key = len(payload), random.getrandbits(32).to_bytes(4, "little")
    start = bytes((0x80 | opcode, 0x80 | size)) if size < 126 else head(opcode, size, mask=True)
    return start + key + masked(payload, key)


def closing(code: int, reason: str = "") -> bytes:
    """Encodes the payload of a closing frame."""
    return code.to_bytes(2, "big") + reason.encode()[:123]


class ProtocolError(Exception):
    """The peer violated RFC 6455; `code` is the one to send in the closing frame."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def header(data: bytes | bytearray, start: int = 0) -> tuple[int, int, bytes, int] | None:
    """Decodes a frame's header: (first byte, payload length, masking key or b"", header length).

    Returns None if `data` is too short.
    """
    if len(data) - start < 2:
        return None
    first, second = data[start], data[start + 1]
    size, at = second & 0x7F, start + 2
    wide = 2 if size == 126 else 8 if size == 127 else 0
    end = at + wide + (4 if second & 0x80 else 0)
    if len(data) < end:
        return None
    if wide:
        size = int.from_bytes(data[at : at + wide], "big")
    key = bytes(data[end - 4 : end]) if second & 0x80 else b""
    return first, size, key, end - start


class Frames:
    """Decodes received bytes into messages: joins fragments, unmasks payloads, and enforces limits."""

    def __init__(self, *, limit: int, expect_mask: bool) -> None:
        self.limit = limit
        self.expect_mask = expect_mask
        self._buffer = bytearray()
        self._opcode = 0  # opcode of the message whose fragments are being joined
        self._parts: list[bytes] = []
        self._joined = 0

    @property
    def has_partial_message(self) -> bool:
        """Whether a message has arrived only in part."""
        return bool(self._buffer or self._parts)

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Returns the messages (opcode, payload) that `data` completes, including control frames.

        Raises:
            ProtocolError: the peer violated the protocol; the connection must be closed.
        """
        # The usual case: `data` is exactly one frame, a small one or that of a vector instance.
        if not self._buffer and not self._parts and self.expect_mask and len(data) >= 6:
            first, size = data[0], data[1] - 0x80
            if first in (0x81, 0x82) and 0 <= size < 126 and len(data) == size + 6:
                return [(first & 0x0F, masked(data[6:], data[2:6]))]
            if first == 0x82 and size == 126 and len(data) - 8 == int.from_bytes(data[2:4], "big") <= self.limit:
                return [(BINARY, masked(memoryview(data)[8:], data[4:8]))]
        self._buffer += data
        messages = []
        while (message := self._next()) is not None:
            if message[0] >= 0:
                messages.append(message)
        return messages

    def _next(self) -> tuple[int, bytes] | None:
        """Returns the next message from the buffer; opcode -1 stands for a fragment of an incomplete one."""
        head = header(self._buffer)
        if head is None:
            return None
        first, size, key, start = head
        self._check(first, size, key)
        if len(self._buffer) < start + size:
            return None
        with memoryview(self._buffer) as view:
            body = view[start : start + size]
            payload = masked(body, key) if key else bytes(body)
            body.release()
        del self._buffer[: start + size]
        opcode, final = first & 0x0F, first & 0x80
        if opcode >= CLOSING or (final and not self._parts and opcode):
            return opcode, payload
        return self._join(opcode, payload, bool(final))

    def _join(self, opcode: int, payload: bytes, final: bool) -> tuple[int, bytes]:
        self._opcode = opcode or self._opcode
        self._parts.append(payload)
        self._joined += len(payload)
        if self._joined > self.limit or len(self._parts) > 10_000:
            raise ProtocolError(1009, f"a message may have {self.limit} bytes in 10000 fragments at most")
        if not final:
            return -1, b""
        whole, self._parts, self._joined = b"".join(self._parts), [], 0
        return self._opcode, whole

    def _check(self, first: int, size: int, key: bytes) -> None:
        opcode, final = first & 0x0F, first & 0x80
        if first & 0x70:
            raise ProtocolError(1002, "reserved bits are set, and no extension was agreed on")
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSING, PING, PONG):
            raise ProtocolError(1002, f"unknown opcode {opcode}")
        if opcode >= CLOSING and (size > 125 or not final):
            raise ProtocolError(1002, "a control frame is too long or fragmented")
        if opcode < CLOSING and bool(opcode) == bool(self._parts):
            raise ProtocolError(1002, "fragments are out of order")
        if bool(key) != self.expect_mask:
            raise ProtocolError(1002, "frames from a client must be masked, frames from a server not")
        if size > self.limit:
            raise ProtocolError(1009, f"a message may have {self.limit} bytes at most")
