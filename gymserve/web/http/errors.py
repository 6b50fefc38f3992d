"""Errors as HTTP answers: JSON `{"message", "error"}` and a status."""

import errno
import logging
import math
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, current_app, request
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from gymserve.protocol import wire
from gymserve.protocol.errors import (
    GymserveError,
    InvalidRequest,
    LimitReached,
    StorageFull,
    TooFast,
    Unauthenticated,
    Unavailable,
)

RETRY_SECONDS = 1
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # what the system says of a disk
SHORT = (errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE)  # and of memory, processes, open files
log = logging.getLogger("gymserve.web")


def answer(error: GymserveError) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body) for an error of ours; `wire.STATUS` is the table."""
    headers = {"Content-Type": "application/json"}
    body: dict[str, Any] = {"message": str(error), "error": type(error).__name__}
    if isinstance(error, TooFast):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
        body["retry_after"] = error.retry_after  # the header knows whole seconds only
    elif isinstance(error, (LimitReached, Unavailable)):
        headers["Retry-After"] = str(RETRY_SECONDS)
    elif isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return wire.status(error), headers, wire.write_json(body)


def _of_method(error: HTTPException) -> HTTPException:
    """Of a path without its trailing slash, Werkzeug says that there is none where only the method is another."""
    if isinstance(error, NotFound) and request.url_rule is None:
        adapter = current_app.create_url_adapter(request)
        try:
            if adapter is not None:
                adapter.match(f"{request.path}/")
        except MethodNotAllowed as found:
            return found
        except HTTPException:
            pass
    return error


def response(error: GymserveError, **more: Any) -> Response:
    """An error of ours, with what else clients of a view look for."""
    status, headers, body = answer(error)
    return Response(wire.write_json(wire.read_json(body) | more) if more else body, status, headers)


def with_detail(error: GymserveError) -> Response:
    """An error as the TJU platform's clients read it: its text is repeated as `detail`."""
    return response(error, detail=str(error))


def with_timestamp(error: GymserveError) -> Response:
    """An error as the RL Agent Training API's clients read it: with details and a timestamp, and 400 for a conflict."""
    made = response(error, details={}, timestamp=datetime.now(UTC).isoformat(timespec="seconds"))
    made.status_code = 400 if made.status_code == 409 else made.status_code
    return made


def register(app: Flask) -> None:
    """Makes `app` answer every error as JSON."""
    app.register_error_handler(GymserveError, response)

    @app.errorhandler(HTTPException)
    def of_http(error: HTTPException) -> Any:
        error = _of_method(error)
        answered = error.get_response()
        answered.data = wire.write_json({"message": error.description, "error": error.name.replace(" ", "")})
        answered.content_type = "application/json"
        return answered

    @app.errorhandler(ParseException)
    @app.errorhandler(NoMoreData)
    def damaged(error: Exception) -> Response:
        return response(InvalidRequest(f"the request's body is damaged: {error}"))

    @app.errorhandler(OSError)
    def of_system(error: OSError) -> Response:
        if error.errno not in (*FULL, *SHORT):
            return unknown(error)
        log.warning("a request failed: %s", error)
        if error.errno in FULL:
            return response(StorageFull("the server's disk is full"))
        return response(Unavailable("the server is short of memory"))

    @app.errorhandler(Exception)
    def unknown(error: Exception) -> Response:
        log.exception("a request failed")
        return Response(
            wire.write_json({"message": "the server failed to answer; its log says why", "error": "ServerError"}),
            500,
            content_type="application/json",
        )
