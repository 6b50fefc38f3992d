"""Calls: the requests that an agent makes to its instance, over HTTP and on the stream alike."""

from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from gymserve.protocol import msgpack, params, text, wire
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.params import Params, Seed, Seq

Seeds = Seed | list[Seed]
"""A list has one seed per copy of a vector instance. None is not allowed in it, because that copy could not be replayed."""


class NoParams(Struct):
    """A call without parameters."""

    seq: Seq | None = None


class StepCall(Struct):
    """Acts once."""

    action: Any
    seq: Seq | None = None


class ResetCall(Struct):
    """Starts an episode."""

    seed: Seeds | None = None
    options: dict[str, Any] | None = None
    seq: Seq | None = None


TextCall = NoParams | StepCall | ResetCall
TEXT_CALLS: dict[str, type[TextCall]] = {"reset": ResetCall, "step": StepCall, "render": NoParams, "close": NoParams}
"""Operation → the struct of a text message's other fields."""


class _LenientStep(StepCall, kw_only=True):
    render: Any = None  # old clients send any value


class _StrictReset(ResetCall, forbid_unknown_fields=True):
    pass


_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LONG_INTEGER = b"0" * 19  # an integer of so many digits may not fit into 64 bits
_SHORT_BODY = 30  # bytes; a shorter body has no room for such an integer
_decode_step = msgspec.json.Decoder(_LenientStep).decode
_decode_reset = msgspec.json.Decoder(_StrictReset).decode


def step_of_json(body: bytes) -> StepCall | None:
    """Decodes an ordinary body of a step, or returns None; this is the hot path.

    It is far faster than `wire.read_json`, because an ordinary body cannot contain what that refuses: duplicate names,
    integers beyond 64 bits, invalid characters.
    """
    return _short_step_of_json(body) if len(body) <= _TINY_BODY else _step_of_json(body)


def _step_of_json(body: bytes) -> StepCall | None:
    if not body.isascii() or b"\\" in body:
        return None
    try:
        if len(body) > text.MAX_DEPTH:
            text.check_size(body)
        call = _decode_step(body)
    except (InvalidRequest, msgspec.MsgspecError, RecursionError):
        return None
    if call.action is None or call.action == "" or call.action == []:
        return None
    names = 1 + (call.seq is not None) + (b'"render":' in body)
    is_short = len(body) < _SHORT_BODY
    is_ordinary = body.count(b":") == names and (is_short or _LONG_INTEGER not in body.translate(_DIGITS))
    return call if is_ordinary else None


_TINY_BODY = 15  # bytes; such bodies, without `seq` and with a single number, are often repeated
_short_step_of_json = lru_cache(64)(_step_of_json)  # nothing changes these calls


def reset_of_json(body: bytes) -> ResetCall | None:
    """Decodes an ordinary body of a reset, without options, or returns None."""
    if not body.startswith(b"{") or not body.isascii():
        return None if body else ResetCall()
    try:
        call = _decode_reset(body)
    except (msgspec.MsgspecError, RecursionError):
        return None
    names = (call.seed is not None) + (call.seq is not None)
    return call if body.count(b":") == names and call.options is None else None


def step_of_msgpack(body: bytes) -> StepCall | None:
    """Decodes an ordinary body of a step, with a packed action, or returns None."""
    return _of_msgpack(body, StepCall)


def reset_of_msgpack(body: bytes) -> ResetCall | None:
    """Decodes an ordinary body of a reset, without options, or returns None."""
    return _of_msgpack(body, ResetCall) if body else ResetCall()


def _of_msgpack(body: bytes, kind: type[Params]) -> Params | None:
    try:
        values = msgpack.read(body, allows_bytes=True)
        return params.parse(values, kind) if isinstance(values, dict) and values.keys() <= _ORDINARY else None
    except InvalidRequest:
        return None


_ORDINARY = {"action", "seed", "seq"}


class BinaryReset(Struct, array_like=True, tag=wire.RESET):
    seq: Seq | None
    seed: Seeds | None
    options: dict[Any, Any] | None


class BinaryStep(Struct, array_like=True, tag=wire.STEP):
    seq: Seq | None
    action: Any


class BinaryRender(Struct, array_like=True, tag=wire.RENDER):
    seq: Seq | None


class BinaryAsk(Struct, array_like=True, tag=wire.ASK):
    seq: Seq | None
    name: Any
    arguments: Any


class BinaryClose(Struct, array_like=True, tag=wire.CLOSE):
    seq: Seq | None


BinaryCall = BinaryReset | BinaryStep | BinaryRender | BinaryAsk | BinaryClose
_KINDS = (wire.RESET, wire.STEP, wire.RENDER, wire.ASK, wire.CLOSE)
_decode = msgspec.msgpack.Decoder(BinaryCall, ext_hook=wire.decode_extension).decode


def decode(message: bytes | bytearray) -> BinaryCall:
    """Decodes a binary message of a stream; this is the hot path.

    Raises:
        InvalidRequest: the message is malformed.
    """
    try:
        return _decode(message)
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError) as error:
        plain = wire.unpack(message)
        if not isinstance(plain, list) or not plain:
            text = "a binary message is a msgpack array: its kind, seq, and what the kind needs"
        elif type(plain[0]) is not int or plain[0] not in _KINDS:
            text = f"unknown kind of message {plain[0]!r:.50}"
        elif isinstance(error, msgspec.ValidationError) and " - at `$" in str(error):
            text = params.describe_error(error, BinaryCall, plain)
        else:
            text = f"a binary message of kind {plain[0]} has more elements than {len(plain)}"
        raise InvalidRequest(text) from error


def seq_of(message: bytes | bytearray) -> int | None:
    """Returns the `seq` of a binary message that was refused, if it has a valid one."""
    try:
        return msgspec.convert(wire.unpack(message)[1], Seq | None)
    except (InvalidRequest, msgspec.ValidationError, LookupError, TypeError):
        return None
