"""Strict msgpack: request bodies over HTTP, which may hold what JSON can say, and bytes if the reader allows them."""

import math

import msgspec

from gymserve.protocol import text
from gymserve.protocol.errors import InvalidRequest
from gymserve.protocol.wire import JSONValue

INVALID = "Request is not valid msgpack"
MAX_VALUES = text.MAX_NAMES  # in all arrays and maps together, since each may take one byte here and 100 in memory

_decode = msgspec.msgpack.Decoder().decode
# The first byte of a value → the bytes of a value of fixed size, or those of the length that follows it.
_SIZES = {0xC0: 1, 0xC2: 1, 0xC3: 1, 0xCA: 5, 0xCB: 9}
_SIZES |= {first + i: 1 + (1 << i) for first in (0xCC, 0xD0) for i in range(4)}  # integers
_LENGTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}  # bytes and text
_CONTAINERS = {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}  # arrays and maps


def read(body: bytes, *, allows_bytes: bool = False) -> JSONValue:
    """Parses msgpack as strictly as `wire.read_json` parses JSON.

    It refuses duplicate keys and keys that are no strings, NaN and infinities, extensions and timestamps, text that
    `text.check` refuses, and what would need much memory or a deep stack.

    Args:
        allows_bytes: whether bytes are accepted, which packed actions consist of.

    Raises:
        InvalidRequest: `body` is not such msgpack.
    """
    reader = _Reader(body, allows_bytes)
    try:
        value = reader.value(0)
    except ValueError as error:  # msgspec's errors and UnicodeDecodeError are ValueErrors
        raise InvalidRequest(f"{INVALID}: {error}") from None
    except IndexError:
        raise InvalidRequest(f"{INVALID}: it was truncated") from None
    if reader.at != len(body):
        raise InvalidRequest(f"{INVALID}: {'it was truncated' if reader.at > len(body) else 'more follows its end'}")
    return value


class _Reader:
    """Parses one body from its start; `at` is the place of the next value."""

    def __init__(self, body: bytes, allows_bytes: bool) -> None:
        self.body = memoryview(body)
        self.allows_bytes = allows_bytes
        self.at = 0
        self.left = MAX_VALUES

    def value(self, depth: int) -> JSONValue:
        first = self.body[self.at]
        if 0x80 <= first < 0xA0:
            self.at += 1
            return self._container(first < 0x90, first & 0x0F, depth)
        if (width := _CONTAINERS.get(first)) is not None:
            return self._container(first >= 0xDE, self._length(width), depth)
        return self._scalar(first)

    def _length(self, width: int) -> int:
        start, self.at = self.at + 1, self.at + 1 + width
        return int.from_bytes(self.body[start : self.at])

    def _container(self, is_map: bool, number: int, depth: int) -> object:
        if depth == text.MAX_DEPTH:
            raise InvalidRequest(text.TOO_DEEP)
        number <<= is_map
        self.left -= number
        if self.left < 0:  # before any memory is allocated for them
            raise InvalidRequest(f"the msgpack has more than {MAX_VALUES} values")
        values = [self.value(depth + 1) for _ in range(number)]
        if not is_map:
            return values
        for name in values[::2]:
            if not isinstance(name, str):
                raise InvalidRequest(f"{INVALID}: the keys of a map must be strings, not {name!r:.50}")
        return text.members(list(zip(values[::2], values[1::2], strict=True)), "msgpack")

    def _scalar(self, first: int) -> object:
        start = self.at
        if (width := _LENGTHS.get(first)) is not None:
            length = self._length(width)
            self.at += length
        elif 0xA0 <= first < 0xC0:
            self.at += 1 + (first & 0x1F)
        elif 0xC7 <= first <= 0xC9 or 0xD4 <= first <= 0xD8:
            raise InvalidRequest("msgpack extensions are not allowed: send numbers, text, arrays and maps")
        else:
            self.at += _SIZES.get(first, 1)
        value = _decode(self.body[start : self.at])
        if isinstance(value, str):
            text.check(value)
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise InvalidRequest("NaN and infinities are not allowed: numbers must be finite")
        elif isinstance(value, bytes) and not self.allows_bytes:
            raise InvalidRequest("bytes are for packed actions only: send a list")
        return value
