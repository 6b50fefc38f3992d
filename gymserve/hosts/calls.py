"""Calls: the requests that an agent makes to its instance, over HTTP and on the stream alike."""

from typing import Any

import msgspec
from msgspec import Struct

from gymserve.protocol import params, wire
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.params import Seed, Seq

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
