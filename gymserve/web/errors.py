"""Errors as HTTP answers: JSON `{"message", "error"}` and a status."""

import logging
import math
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, request
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import HTTPException

from gymserve import wire
from gymserve.errors import GymserveError, InvalidRequest, LimitReached, TooFast, Unauthenticated, Unavailable

RETRY_SECONDS = 1
DETAILED = ("users", "projects", "project_experiments")  # their old clients look for the text under "detail"
STRUCTURED = (
    "experiments",
    "curves",
    "films",
    "training",
)  # theirs for "error", "message", "details", "timestamp"; 400 for a conflict
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


def register(app: Flask) -> None:
    """Makes `app` answer every error as JSON."""

    @app.errorhandler(GymserveError)
    def known(error: GymserveError) -> Response:
        status, headers, body = answer(error)
        if request.blueprint in DETAILED:
            body = wire.write_json({**wire.read_json(body), "detail": str(error)})
        if request.blueprint in STRUCTURED:
            status = 400 if status == 409 else status
            timestamp = datetime.now(UTC).isoformat(timespec="seconds")
            body = wire.write_json({**wire.read_json(body), "details": {}, "timestamp": timestamp})
        return Response(body, status, headers)

    @app.errorhandler(HTTPException)
    def of_http(error: HTTPException) -> Any:
        response = error.get_response()
        response.data = wire.write_json({"message": error.description, "error": error.name.replace(" ", "")})
        response.content_type = "application/json"
        return response

    @app.errorhandler(ParseException)
    @app.errorhandler(NoMoreData)
    def damaged(error: Exception) -> Response:
        status, headers, body = answer(InvalidRequest(f"the request's body is damaged: {error}"))
        return Response(body, status, headers)

    @app.errorhandler(Exception)
    def unknown(error: Exception) -> Response:
        log.exception("a request failed")
        return Response(
            wire.write_json({"message": "the server failed to answer; its log says why", "error": "ServerError"}),
            500,
            content_type="application/json",
        )
