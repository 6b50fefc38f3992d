"""The parts of HTTP that web workers and hosts share: dates, and errors as responses."""

import email.utils
import functools
import http
import math

from gymserve.protocol import wire
from gymserve.protocol.errors import GymserveError, LimitReached, TooFast, Unauthenticated, Unavailable

RETRY_SECONDS = 1


@functools.lru_cache(maxsize=2)
def date(second: int) -> str:
    """Formats a time, in seconds since 1970, as HTTP does."""
    return email.utils.formatdate(second, usegmt=True)


def reason(status: int) -> str:
    """The reason phrase of a status."""
    return "Unprocessable Content" if status == 422 else http.HTTPStatus(status).phrase  # its older name in Python 3.12


def error_response(error: GymserveError) -> tuple[int, dict[str, str], bytes]:
    """Returns (status, headers, body) for an error; `wire.STATUS` has the statuses."""
    headers = {"Content-Type": "application/json"}
    body: dict[str, object] = {"message": str(error), "error": type(error).__name__}
    if isinstance(error, TooFast):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
        body["retry_after"] = error.retry_after  # the header has whole seconds only
    elif isinstance(error, (LimitReached, Unavailable)):
        headers["Retry-After"] = str(RETRY_SECONDS)
    elif isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return wire.status(error), headers, wire.write_json(body)
