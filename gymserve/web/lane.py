"""The fast lane: `POST /v1/envs/<id>/step/` without Flask's routing and request objects, which cost more than the step.

It shares the parameters, the instances and the errors with the view in `v1.py`, and leaves to it whatever is unusual.
"""

from collections.abc import Callable, Iterable
from typing import Any

from gymserve.errors import GymserveError
from gymserve.hosts.instances import Instances
from gymserve.web import errors, parameters

_PREFIX, _SUFFIX = "/v1/envs/", "/step"
_HEADERS = [("Content-Type", "application/json")]
_REASONS = {400: "Bad Request", 409: "Conflict", 422: "Unprocessable Content", 429: "Too Many Requests"}
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class StepLane:
    """WSGI middleware around the Flask application."""

    def __init__(self, app: Wsgi, instances: Instances, *, max_body_bytes: int) -> None:
        self.app = app
        self.instances = instances
        self.max_body_bytes = max_body_bytes

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "POST" or not path.startswith(_PREFIX):
            return self.app(environ, start_response)
        token = path[len(_PREFIX) :].rstrip("/")
        length = environ.get("CONTENT_LENGTH") or ""
        if not token.endswith(_SUFFIX) or not length.isdecimal() or int(length) > self.max_body_bytes:
            return self.app(environ, start_response)
        try:
            asked = parameters.parse(environ["wsgi.input"].read(int(length)), environ.get("CONTENT_TYPE") or "")
            action = parameters.required(asked, "action")
            body = self.instances.step(token[: -len(_SUFFIX)], action, seq=asked.get("seq"))
        except GymserveError as error:
            status, headers, body = errors.answer(error)
            reason = _REASONS.get(status, "Error")
            start_response(f"{status} {reason}", [*headers.items(), ("Content-Length", str(len(body)))])
            return [body]
        start_response("200 OK", [*_HEADERS, ("Content-Length", str(len(body)))])
        return [body]
