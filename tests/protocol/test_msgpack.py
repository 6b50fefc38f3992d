"""Strict msgpack accepts what JSON can say, and refuses everything else with the same words."""

import resource
import struct
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gymserve.protocol import msgpack, text
from gymserve.protocol.errors import InvalidRequest

encode = msgspec.msgpack.encode
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cf", "Cc"]))
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@given(PLAIN)
def test_plain_data_is_read_unchanged(value: Any) -> None:
    assert msgpack.read(encode(value)) == value


def test_long_heads_are_read() -> None:
    assert msgpack.read(b"\xde\x00\x01\xa1a\xdd\x00\x00\x00\x01\x01") == {"a": [1]}
    assert msgpack.read(b"\xdf\x00\x00\x00\x01\xa1a\xdc\x00\x01\x01") == {"a": [1]}
    many = {str(i): [i] * 20 for i in range(20)}
    assert msgpack.read(encode(many)) == many


@given(PLAIN, st.data())
def test_a_body_cut_anywhere_is_refused(value: Any, data: st.DataObject) -> None:
    body = encode({"action": value})
    with pytest.raises(InvalidRequest, match="truncated|malformed"):
        msgpack.read(body[: data.draw(st.integers(0, len(body) - 1))])


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        value = msgpack.read(body, allows_bytes=True)
    except InvalidRequest:
        return
    assert encode(value) and msgpack.read(encode(value), allows_bytes=True) == value


PAIR = b"\xa1a\x01"
REFUSED = {
    "nothing": (b"", "not valid msgpack"),
    "more than one value": (b"\x01\x02", "more follows"),
    "an unused code": (b"\xc1", "not valid msgpack"),
    "no UTF-8": (b"\xa1\xff", "utf-8"),
    "an array of 2**32 - 1 values": (b"\xdd\xff\xff\xff\xff", "more than 200000 values"),
    "a map of 2**32 - 1 values": (b"\xdf\xff\xff\xff\xff", "more than 200000 values"),
    "bytes of 4 GiB": (b"\xc6\xff\xff\xff\xff", "truncated"),
    "the head of an array alone": (b"\xdd", "truncated"),
    "an array of three with two": (b"\x93\x01\x02", "truncated"),
    "many values in small arrays": (encode([[1] * 99] * 2001), "more than 200000 values"),
    "a name twice": (b"\x82" + PAIR + PAIR, "the msgpack names 'a' twice"),
    "a name twice inside": (b"\x81\xa1b\x91\x82" + PAIR + PAIR, "the msgpack names 'a' twice"),
    "a number as a name": (b"\x81\x01\x01", "must be strings, not 1"),
    "an array as a name": (b"\x81\x90\x01", r"must be strings, not \[\]"),
    "arrays 101 deep": (b"\x91" * 101 + b"\x01", "too deeply"),
    "maps 101 deep": (b"\x81\xa1a" * 101 + b"\x01", "too deeply"),
    "arrays a million deep": (b"\x91" * 10**6 + b"\x01", "too deeply"),
    "NaN": (encode([float("nan")]), "must be finite"),
    "a single NaN": (b"\xca" + struct.pack(">f", float("nan")), "must be finite"),
    "infinity": (encode({"a": -float("inf")}), "must be finite"),
    "bytes": (encode({"a": b"b"}), "bytes are for packed actions"),
    "an extension": (encode(msgspec.msgpack.Ext(1, b"x")), "extensions"),
    "a long extension": (encode([msgspec.msgpack.Ext(1, b"x" * 99)]), "extensions"),
    "a timestamp": (b"\xd6\xff\x00\x00\x00\x00", "extensions"),
    "text that cannot be stored": (encode("a\0"), "U\\+0000"),
    "a name that cannot be stored": (encode({"\u202e": 1}), "U\\+202E"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "reason"), REFUSED.values(), ids=REFUSED)
def test_everything_else_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        msgpack.read(body)


def test_a_hundred_levels_and_packed_bytes_are_accepted() -> None:
    deep = msgpack.read(b"\x91" * 100 + b"\x01")
    assert str(deep).count("[") == text.MAX_DEPTH
    assert msgpack.read(encode({"action": b"\x90" * 10**6}), allows_bytes=True) == {"action": b"\x90" * 10**6}


COSTLY = {
    "empty arrays": 'b"\\xdd" + (1 << 24).to_bytes(4) + b"\\x90" * (1 << 24)',
    "small maps": 'b"\\xdc\\xff\\xff" + b"\\xde\\x00\\x80" * 65535',
    "arrays around bytes": 'b"\\x91" * 100 + b"\\xc6" + (1 << 24).to_bytes(4) + bytes(1 << 24)',
    "maps around bytes": 'b"\\x81\\xa1a" * 99 + b"\\xc6" + (1 << 24).to_bytes(4) + bytes(1 << 24)',
}


@pytest.mark.guarantee("somebody sends what takes much time or memory to read")
@pytest.mark.parametrize("what", COSTLY)
def test_reading_time_and_memory_are_proportional_to_the_length(what: str) -> None:
    program = f"""
from gymserve.protocol import errors, msgpack
body = {COSTLY[what]}
try: print(len(msgpack.read(body, allows_bytes=True)))
except errors.InvalidRequest as error: print(error)
"""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
        resource.setrlimit(resource.RLIMIT_AS, (640 << 20, 640 << 20))

    environment = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": ":".join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-c", program], preexec_fn=limit, capture_output=True, text=True, env=environment
    )
    assert ran.returncode == 0 and ran.stdout, ran.stderr
