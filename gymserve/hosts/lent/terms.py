"""The terms of a loan: which requests on a connection the host may answer, and until when."""

import enum
import re
from typing import NamedTuple

import msgspec

_LENGTH = re.compile(rb"\r\nContent-Length: (0|[1-9]\d{0,4})\r\n", re.IGNORECASE)
MOST_BYTES = 1 << 16  # of a request that a host may answer
MOST_HEAD_BYTES = 4096


class Terms(msgspec.Struct, frozen=True, array_like=True):
    """What a web worker has found out about a connection's requests, which holds for all with the same head.

    Attributes:
        token: the instance.
        step, reset, rest: see `Head`.
        is_packed, msgpack: whether bodies of requests, and of responses that are not errors, are msgpack instead of JSON.
        most_bytes: the most that a request may have.
        first_call: identifies the first request without `seq`; the next one has the next number.
        until: the monotonic time when the sender must be identified anew.
        page, number: a file that all processes map, and the number it must begin with for the sender to be as it was; "" for
            no file.
        requests: the subject and the limit per minute of the sender's resets, or None for no limit.
        request_id: the id that the client sends with each request, or None.
        reset_headers: more lines in the head of a reset's response.
        account, address: the sender, for the log.
    """

    token: str
    step: bytes
    reset: bytes
    rest: bytes
    is_packed: bool
    msgpack: bool
    most_bytes: int
    first_call: int
    until: float
    page: str
    number: int
    requests: tuple[int | str, int] | None
    request_id: str | None
    reset_headers: bytes
    account: int | None
    address: str


class Head(NamedTuple):
    """The head of an instance's requests, learnt from those that the web server has parsed.

    Attributes:
        step, reset: its beginning up to the digits of `Content-Length`, for each of the two. In `Terms`, an empty `reset` means
            that the host may not answer resets.
        rest: what follows the digits, including the empty line.
    """

    step: bytes
    reset: bytes
    rest: bytes

    @classmethod
    def learn(cls, head: bytes, path: str) -> "Head | None":
        """Takes a step's head apart, or returns None if it is not of the usual form.

        Args:
            path: that of the instance, without a slash at the end.
        """
        length = _LENGTH.search(head)
        if length is None or len(head) > MOST_HEAD_BYTES or head.count(b"\n") != head.count(b"\r\n"):
            return None
        for slash in ("/", ""):
            line, reset = (f"POST {path}/{call}{slash} HTTP/1.1\r\n".encode() for call in ("step", "reset"))
            if head.startswith(line):
                start, end = length.span(1)
                return cls(head[:start], reset + head[len(line) : start], head[end:])
        return None


class Request(NamedTuple):
    """A request that has arrived completely: where its body starts, and its size together with the head."""

    is_reset: bool
    start: int
    size: int


class Incomplete(enum.Enum):
    """What may still become a request."""

    INCOMPLETE = enum.auto()


INCOMPLETE = Incomplete.INCOMPLETE


def match(terms: Terms, data: bytes) -> Request | Incomplete | None:
    """Compares what has arrived with the learnt head.

    Returns: a request; INCOMPLETE if it may become one; or None if it is another one, or more than one.
    """
    if is_step := data.startswith(terms.step):
        start = len(terms.step)
    elif terms.reset and data.startswith(terms.reset):
        start = len(terms.reset)
    else:
        return INCOMPLETE if terms.step.startswith(data) or terms.reset.startswith(data) else None
    end = data.find(b"\r", start, start + 6)
    digits = data[start:end] if end >= 0 else data[start : start + 6]
    if (digits[:1] == b"0" and digits != b"0") or not (digits.isdigit() or not digits):
        return None
    if end < 0:
        return INCOMPLETE if len(digits) < 6 else None
    if not digits:
        return None
    rest = terms.rest
    if not data.startswith(rest, end):
        return INCOMPLETE if rest.startswith(data[end:]) else None
    body = end + len(rest)
    size = body + int(digits)
    if len(data) == size:
        return Request(not is_step, body, size)
    return INCOMPLETE if len(data) < size <= terms.most_bytes else None
