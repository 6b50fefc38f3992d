"""Errors as HTTP answers: JSON `{"message", "error"}` and a status."""

import logging
import math
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, current_app, request
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

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
# RUNT's paths begin with these; its clients look for a "status", and know no 422.
ENVELOPED = ("login", "models", "stop-train", "testmodel", "train", "trainingassistent")
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


def _is_enveloped() -> bool:
    return request.path.lstrip("/").partition("/")[0] in ENVELOPED


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
        if request.blueprint == "runt":
            status = 400 if status == 422 else status
        if _is_enveloped():
            body = wire.write_json({**wire.read_json(body), "status": "error", "data": None})
        return Response(body, status, headers)

    @app.errorhandler(HTTPException)
    def of_http(error: HTTPException) -> Any:
        error = _of_method(error)
        response = error.get_response()
        body = {"message": error.description, "error": error.name.replace(" ", "")}
        if _is_enveloped():
            body |= {"status": "error", "data": None}
        if isinstance(error, MethodNotAllowed) and _is_enveloped():
            methods = sorted(set(error.valid_methods or ()) - {"HEAD", "OPTIONS"})
            body["message"] = f"仅支持{'、'.join(methods)}请求 (only {', '.join(methods)})"
        response.data = wire.write_json(body)
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
