"""The journal's records, and their encoding."""

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
import xxhash

from gymserve.protocol import wire
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.generics import Value
from gymserve.protocol.recipe import Recipe
from gymserve.protocol.wire import JSONObject

CREATED, RESET, STEP, MONITORED, CLOSED, ENDED, SPENT = range(1, 8)
# The kinds of an `Ended`. BROKEN: the trial could not begin, and the record comes before it. FAILED: a reward was not
# finite. CRASHED: the agent's call ended the environment, which does not replay. LOST: the same, but the server's fault.
BROKEN, FAILED, CRASHED, LOST = "broken", "failed", "crashed", "lost"

# Flags of a reset or a step.
SEQ, REQUEST, TERMINATED, TRUNCATED, TIME, BATCH, EQUAL_REWARDS, SMALL_ACTIONS = (1 << bit for bit in range(8))
TWO_REWARDS = TIME  # the same bit, since batches have no time

_STEP = struct.Struct("<BBQd")
_STEP_CALL = struct.Struct("<BBIQd")
_RESET = struct.Struct("<BBIQd")
_F64 = struct.Struct("<d")


class Created(NamedTuple):
    """How the instance was made."""

    recipe: Recipe


class Reset(NamedTuple):
    """A reset.

    Attributes:
        generators: the state of the environment's random generators before a reset without a seed.
        global_seed: the seed of the process' own random generators, or None if they were not seeded.
    """

    call: int | None
    digest: int
    time: float
    seed: int | list[int | None] | None
    options: dict[str, object] | None
    generators: bytes | None
    global_seed: int | None = None


class Step(NamedTuple):
    """A step. In a vector instance, reward, terminated and truncated are arrays of (num_envs,)."""

    call: int | None
    digest: int
    action: Value  # packed, see `gymserve.protocol.spaces`
    reward: Any  # a number or an array, like the next two
    terminated: Any  # see `reward`
    truncated: Any  # see `reward`
    time: float | None  # only of a step that ended its episode


class Monitored(NamedTuple):
    """Monitoring was started (a map of its options) or closed (None)."""

    options: JSONObject | None
    time: float


class Closed(NamedTuple):
    """The instance was closed for `reason`."""

    reason: str
    time: float


class Ended(NamedTuple):
    """The end of a trial that its last step does not show; `trial` counts from 1, `reason` starts with the kind."""

    trial: int
    reason: str
    call: int | None  # of the reset that ended it
    time: float

    @property
    def kind(self) -> str:
        """The first word of the reason."""
        return self.reason.partition(":")[0]


class Spent(NamedTuple):
    """The agent took longer over a step than allowed; `left` seconds of its bank remain."""

    left: float
    time: float


Record = Spent | Created | Reset | Step | Monitored | Closed | Ended


class _ResetParams(NamedTuple):
    """The part of a reset that is encoded as msgpack."""

    seed: int | list[int | None] | None
    options: dict[Any, Any] | None  # as an agent sent them
    generators: bytes | None
    global_seed: int | None = None


_hash = xxhash.xxh3_64_intdigest
# Decoders of the records' msgpack parts, which check types.
_decode_plain = msgspec.msgpack.Decoder().decode
_decode_reset = msgspec.msgpack.Decoder(_ResetParams, ext_hook=wire.decode_extension).decode
_decode_monitored = msgspec.msgpack.Decoder(Monitored).decode
_decode_closed = msgspec.msgpack.Decoder(Closed).decode
_decode_ended = msgspec.msgpack.Decoder(Ended).decode
_decode_spent = msgspec.msgpack.Decoder(Spent).decode


def digest(packed: object) -> int:
    """The 64-bit XXH3 hash of a packed observation."""
    if type(packed) is bytes:
        return _hash(packed)
    return _hash(packed if isinstance(packed, (bytearray, memoryview)) else wire.pack(packed))


# A call is identified by a client's `seq` (0 and up), by a worker's own request id (negative), or by None.


def _encode_call(call: int | None) -> tuple[int, int]:
    """Returns (flag, 32-bit number) of a call."""
    if call is None:
        return 0, 0
    return (SEQ, call) if call >= 0 else (REQUEST, ~call)


def _decode_call(flags: int, number: int) -> int | None:
    return number if flags & SEQ else ~number if flags & REQUEST else None


def encode_created(recipe: Recipe) -> bytes:
    return bytes((CREATED,)) + wire.pack(recipe.to_dict())


def encode_reset(reset: Reset) -> bytes:
    flag, number = _encode_call(reset.call)
    head = _RESET.pack(RESET, flag, number, reset.digest, reset.time)
    global_seed = () if reset.global_seed is None else (reset.global_seed,)
    return head + wire.pack((reset.seed, reset.options, reset.generators, *global_seed))


def encode_step(
    call: int | None,
    digest: int,
    action: object,
    reward: float,
    terminated: bool,
    truncated: bool,
    time: float | None,
) -> bytes:
    """Encodes a plain instance's step: 18 bytes, up to 12 optional ones, and the action. This is the hot path."""
    flags = 0
    if terminated:
        flags = TERMINATED
    if truncated:
        flags |= TRUNCATED
    packed = wire.pack(action)
    if time is not None:
        flags |= TIME
        packed = _F64.pack(time) + packed
    if call is None:
        return _STEP.pack(STEP, flags, digest, reward) + packed
    if call >= 0:
        return _STEP_CALL.pack(STEP, flags | SEQ, call, digest, reward) + packed
    return _STEP_CALL.pack(STEP, flags | REQUEST, ~call, digest, reward) + packed


def encode_batch(
    call: int | None, digest: int, action: object, reward: np.ndarray, terminated: np.ndarray, truncated: np.ndarray
) -> bytes:
    """Encodes a vector instance's step compactly.

    One or two different rewards are stored once each, terminated and truncated as bits, and small integers as bytes.
    """
    flags, number = _encode_call(call)
    flags |= BATCH
    parts = []
    if np.count_nonzero(terminated):
        flags |= TERMINATED
        parts.append(np.packbits(terminated).tobytes())
    if np.count_nonzero(truncated):
        flags |= TRUNCATED
        parts.append(np.packbits(truncated).tobytes())
    raw, first = reward.tobytes(), float(reward[0])
    if raw == raw[:8] * len(reward):
        flags |= EQUAL_REWARDS
    elif (two := _encode_two_rewards(reward)) is not None:
        flags |= TWO_REWARDS
        parts.append(two)
    else:
        first = 0.0
        parts.append(raw)
    if (small := _encode_small_integers(action)) is not None:
        flags |= SMALL_ACTIONS
        action = small
    return _STEP_CALL.pack(STEP, flags, number, digest, first) + b"".join(parts) + wire.pack(action)


def _encode_two_rewards(reward: np.ndarray) -> bytes | None:
    """Encodes the second of exactly two different rewards and the copies that have it; None if there are more.

    Two are common: the reward of a step, and the reward 0 of copies that were reset.
    """
    bits = reward.view(np.int64)
    others = bits != bits[0]
    place = others.argmax()
    if np.count_nonzero(others) != np.count_nonzero(bits == bits[place]):
        return None
    return reward[place].tobytes() + np.packbits(others).tobytes()


def _encode_small_integers(action: object) -> bytes | None:
    """Encodes 64-bit integers below 256, such as a vector instance's discrete actions, as one byte each; else None."""
    if not isinstance(action, bytes) or len(action) % 8 or len(action) <= 64:
        return None
    return action[::8] if np.frombuffer(action, np.dtype("<u8")).max() < 256 else None


def encode_monitored(options: Mapping[str, object] | None, time: float) -> bytes:
    return bytes((MONITORED,)) + wire.pack((options, time))


def encode_closed(reason: str, time: float) -> bytes:
    return bytes((CLOSED,)) + wire.pack((reason, time))


def encode_ended(trial: int, reason: str, call: int | None, time: float) -> bytes:
    return bytes((ENDED,)) + wire.pack((trial, reason, call, time))


def encode_spent(left: float, time: float) -> bytes:
    return bytes((SPENT,)) + wire.pack((left, time))


def decode(body: bytes, copies: int) -> Record:
    """Decodes a record.

    Args:
        copies: the number of copies of a vector instance, or 0 for a plain instance.

    Raises:
        ValueError: the record is malformed, or of a kind that this version does not know.
    """
    try:
        return _decode_record(body, copies)
    except (InvalidRequest, struct.error, ArithmeticError, LookupError, TypeError, RecursionError, ValueError) as error:
        raise ValueError(f"a record of kind {body[0]} cannot be read: {error}") from error


def _decode_record(body: bytes, copies: int) -> Record:
    kind = body[0]
    if kind == STEP:
        return _decode_step(body, copies)
    if kind == RESET:
        _, flags, number, digest, time = _RESET.unpack_from(body)
        return Reset(_decode_call(flags, number), digest, time, *_decode_reset(body[_RESET.size :]))
    if kind == CREATED:
        return Created(Recipe.from_dict(_decode_plain(body[1:])))
    if kind == MONITORED:
        return _decode_monitored(body[1:])
    if kind == CLOSED:
        return _decode_closed(body[1:])
    if kind == ENDED:
        return _decode_ended(body[1:])
    if kind == SPENT:
        return _decode_spent(body[1:])
    raise ValueError("it is unknown")


def _decode_step(body: bytes, copies: int) -> Step:
    flags = body[1]
    if bool(flags & BATCH) != (copies > 0):
        raise ValueError(
            f"it is not that of {f'a vector instance of {copies} copies' if copies else 'a plain instance'}"
        )
    if flags & BATCH:
        return _decode_batch(body, copies)
    if flags & (SEQ | REQUEST):
        _, _, number, digest, reward = _STEP_CALL.unpack_from(body)
        call, at = _decode_call(flags, number), _STEP_CALL.size
    else:
        _, _, digest, reward = _STEP.unpack_from(body)
        call, at = None, _STEP.size
    time = None
    if flags & TIME:
        time = _F64.unpack_from(body, at)[0]
        at += 8
    action = wire.unpack(body[at:])
    return Step(call, digest, action, reward, bool(flags & TERMINATED), bool(flags & TRUNCATED), time)


def _decode_batch(body: bytes, num_envs: int) -> Step:
    _, flags, number, digest, first = _STEP_CALL.unpack_from(body)
    at = _STEP_CALL.size
    size = (num_envs + 7) // 8
    ended = []
    for flag in (TERMINATED, TRUNCATED):
        if flags & flag:
            ended.append(_bits(body, num_envs, at))
            at += size
        else:
            ended.append(np.zeros(num_envs, bool))
    if flags & EQUAL_REWARDS:
        reward = np.full(num_envs, first)
    elif flags & TWO_REWARDS:
        (other,) = _F64.unpack_from(body, at)
        reward = np.where(_bits(body, num_envs, at + 8), other, first)
        at += 8 + size
    else:
        reward = np.frombuffer(body, np.float64, num_envs, at)
        at += 8 * num_envs
    action = wire.unpack(body[at:])
    if flags & SMALL_ACTIONS:
        action = np.frombuffer(action, np.uint8).astype(np.int64).tobytes()
    return Step(_decode_call(flags, number), digest, action, reward, ended[0], ended[1], None)


def _bits(body: bytes, count: int, at: int) -> np.ndarray:
    return np.unpackbits(np.frombuffer(body, np.uint8, (count + 7) // 8, at), count=count).astype(bool)
