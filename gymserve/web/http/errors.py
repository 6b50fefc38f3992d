"""Errors as HTTP responses: a status, and JSON with `message` and `error`."""

import errno
import logging
from datetime import UTC, datetime

from flask import Flask, Response, current_app, request
from flask.typing import ResponseReturnValue
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from gymserve.protocol import http, wire
from gymserve.protocol.errors import (
    GymserveError,
    InvalidRequest,
    StorageFull,
    Unavailable,
)

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
OUT_OF_RESOURCES = (errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE)  # memory, processes, open files
log = logging.getLogger("gymserve.web")


def _correct_status(error: HTTPException) -> HTTPException:
    """Turn a 404 into a 405 where Werkzeug errs: for a wrong method on a path without its trailing slash."""
    if isinstance(error, NotFound) and request.url_rule is None:
        adapter = current_app.create_url_adapter(request)
        try:
            if adapter is not None:
                adapter.match(f"{request.path}/")
        except MethodNotAllowed as not_allowed:
            return not_allowed
        except HTTPException:
            pass
    return error


def response(error: GymserveError, **more: object) -> Response:
    """Make the response for an error, with additional keys that a view's clients expect."""
    status, headers, body = http.error_response(error)
    return Response(wire.write_json(wire.read_json(body) | more) if more else body, status, headers)


def with_detail(error: GymserveError) -> Response:
    """Make the response that the TJU platform's clients expect: the message is repeated as `detail`."""
    return response(error, detail=str(error))


def with_timestamp(error: GymserveError) -> Response:
    """Make the response that the RL Agent Training API's clients expect: details, a timestamp, 400 for a conflict."""
    answer = response(error, details={}, timestamp=datetime.now(UTC).isoformat(timespec="seconds"))
    answer.status_code = 400 if answer.status_code == 409 else answer.status_code
    return answer


def register(app: Flask) -> None:
    """Make `app` respond to every error with JSON."""
    app.register_error_handler(GymserveError, response)

    @app.errorhandler(HTTPException)
    def handle_http_error(error: HTTPException) -> ResponseReturnValue:
        error = _correct_status(error)
        answer = error.get_response()
        answer.data = wire.write_json({"message": error.description, "error": error.name.replace(" ", "")})
        answer.content_type = "application/json"
        return answer

    @app.errorhandler(ParseException)
    @app.errorhandler(NoMoreData)
    def handle_body_error(error: Exception) -> Response:
        return response(InvalidRequest(f"the request body is malformed: {error}"))

    @app.errorhandler(OSError)
    def handle_system_error(error: OSError) -> Response:
        if error.errno not in (*DISK_FULL, *OUT_OF_RESOURCES):
            return handle_unexpected_error(error)
        log.warning("a request failed: %s", error)
        if error.errno in DISK_FULL:
            return response(StorageFull("the server's disk is full"))
        return response(Unavailable("the server is short of memory"))

    @app.errorhandler(Exception)
    def handle_unexpected_error(error: Exception) -> Response:
        log.exception("a request failed")
        return Response(
            wire.write_json(
                {"message": "internal server error; the server's log has the cause", "error": "ServerError"}
            ),
            500,
            content_type="application/json",
        )
