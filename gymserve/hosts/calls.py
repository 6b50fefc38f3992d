"""Calls: what an agent asks of an instance, over HTTP and on the stream alike."""

from typing import Any

import msgspec
from msgspec import Struct

from gymserve.protocol import params, wire
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.params import Seed, Seq

Seeds = Seed | list[Seed]
"""A list has one for each copy of a vector instance. None of them is None: such a copy's episode could not be replayed."""


class Bare(Struct):
    """A call that needs nothing."""

    seq: Seq | None = None


class Step(Struct):
    action: Any
    seq: Seq | None = None


class Reset(Struct):
    seed: Seeds | None = None
    options: dict[str, Any] | None = None
    seq: Seq | None = None


Text = Bare | Step | Reset
TEXT: dict[str, type[Text]] = {"reset": Reset, "step": Step, "render": Bare, "close": Bare}
"""Operation → what a text message holds beside it."""


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


Binary = BinaryReset | BinaryStep | BinaryRender | BinaryAsk | BinaryClose
_KINDS = (wire.RESET, wire.STEP, wire.RENDER, wire.ASK, wire.CLOSE)
_read = msgspec.msgpack.Decoder(Binary, ext_hook=wire.decode_extension).decode


def read(message: bytes | bytearray) -> Binary:
    """A binary message of a stream; the hot path.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        return _read(message)
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError) as error:
        plain = wire.unpack(message)
        if not isinstance(plain, list) or not plain:
            text = "a binary message is a msgpack array: its kind, seq, and what the kind needs"
        elif type(plain[0]) is not int or plain[0] not in _KINDS:
            text = f"unknown kind of message {plain[0]!r:.50}"
        elif isinstance(error, msgspec.ValidationError) and " - at `$" in str(error):
            text = params.refusal(error, Binary, plain)
        else:
            text = f"a binary message of kind {plain[0]} has more elements than {len(plain)}"
        raise InvalidRequest(text) from error


def seq_of(message: bytes | bytearray) -> int | None:
    """The number of a binary message that is refused, if it has one."""
    try:
        return msgspec.convert(wire.unpack(message)[1], Seq | None)
    except (InvalidRequest, msgspec.ValidationError, LookupError, TypeError):
        return None
