"""Compression of a stream's messages: a byte that says whether a message is compressed, then the message.

`docs/agents/stream.md` describes it.
"""

from typing import Any

from gymserve.protocol.errors import InvalidRequest

PLAIN, COMPRESSED = b"\x00", b"\x01"
WORTHWHILE = 512  # bytes; shorter messages are sent uncompressed


class Compression:
    """Compresses and decompresses one stream's binary messages with "zstd" or "lz4".

    Args:
        limit: the maximum size of a decompressed message in bytes.

    Raises:
        InvalidRequest: the name is unknown, or its package is not installed.
    """

    def __init__(self, name: str, limit: int) -> None:
        self.limit = limit
        try:
            self._codec: Any = {"zstd": _Zstd, "lz4": _Lz4}[name]()  # Any: two libraries
        except KeyError:
            raise InvalidRequest(f"compression must be zstd or lz4, not {name[:20]!r}") from None
        except ImportError:
            raise InvalidRequest(f"{name} is not installed here: pip install 'gymserve[compression]'") from None

    def wrap(self, message: bytes) -> bytes:
        """Compresses a message if it is long enough."""
        if len(message) < WORTHWHILE:
            return PLAIN + message
        return COMPRESSED + self._codec.compress(message)

    def unwrap(self, data: bytes | bytearray) -> bytes | bytearray:
        """Decompresses a message if it is compressed.

        Raises:
            InvalidRequest: the message is damaged, or larger than the limit.
        """
        if data[:1] == PLAIN:
            return data[1:]
        try:
            if data[:1] == COMPRESSED:
                return self._codec.decompress(data[1:], self.limit)
        except (RuntimeError, ValueError, EOFError) as error:
            raise InvalidRequest(f"not a compressed message: {error}") from None
        raise InvalidRequest("a message of a compressed stream starts with 0 (plain) or 1 (compressed)")


class _Zstd:
    def __init__(self) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        self.compress = zstandard.ZstdCompressor(level=1).compress
        self._decompressor = zstandard.ZstdDecompressor()

    def decompress(self, data: bytes, limit: int) -> bytes:
        try:
            reader = self._decompressor.stream_reader(data)
            message: bytes = reader.read(limit + 1)
        except self._error as error:
            raise ValueError(error) from None
        if len(message) > limit:
            raise ValueError(f"it has more than {limit} bytes")
        return message


class _Lz4:
    def __init__(self) -> None:
        import lz4.frame

        self.compress = lz4.frame.compress
        self._decompressor = lz4.frame.LZ4FrameDecompressor

    def decompress(self, data: bytes, limit: int) -> bytes:
        decompressor = self._decompressor()
        message: bytes = decompressor.decompress(data, max_length=limit)
        if not decompressor.eof:
            raise ValueError(f"it is cut short, or has more than {limit} bytes")
        return message
