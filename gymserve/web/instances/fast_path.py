"""The fast path of steps: `POST /v1/envs/<id>/step/` without Flask's routing and requests, which cost more than a step.

It shares the guard, the parameters, the instances and the errors with the view in `v1.py`, and passes unusual requests
on to it: bodies of unknown length, requests from web pages, unknown host names.
"""

import time
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from gymserve.hosts.pool.instances import Instances
from gymserve.protocol.errors import Forbidden, GymserveError
from gymserve.web.http import envelope, errors
from gymserve.web.http.access import Guard
from gymserve.web.http.counts import Counts
from gymserve.web.instances import parameters as instance_parameters

_PREFIX, _SUFFIX = "/v1/envs/", "/step"
_REASONS = {
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict",
    422: "Unprocessable Content", 429: "Too Many Requests",
}  # fmt: skip


class StepFastPath:
    """WSGI middleware that serves ordinary steps, and passes all other requests to the Flask application.

    Args:
        hosts: the host names that the server answers to, or None for any.
        local: whether to refuse requests from other machines, even if the server listens for them.
    """

    def __init__(
        self,
        app: WSGIApplication,
        instances: Instances,
        guard: Guard,
        counts: Counts,
        *,
        max_body_bytes: int,
        hosts: tuple[str, ...] | None,
        local: bool,
    ) -> None:
        self.app = app
        self.instances, self.guard, self.counts = instances, guard, counts
        self.max_body_bytes, self.hosts, self.local = max_body_bytes, hosts, local

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request_id = envelope.begin(environ)
        if self.local and not envelope.is_local(environ.get("REMOTE_ADDR") or ""):
            status, more, body = errors.answer(Forbidden(envelope.NOT_LOCAL))
            start_response("403 Forbidden", [*more.items(), ("Content-Length", str(len(body)))])
            return [body]
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "POST" or not path.startswith(_PREFIX):
            return self.app(environ, start_response)
        token = path[len(_PREFIX) :].rstrip("/")
        length = environ.get("CONTENT_LENGTH") or ""
        if not token.endswith(_SUFFIX) or not self._is_ordinary(environ, length):
            return self.app(environ, start_response)
        token = token[: -len(_SUFFIX)]
        try:
            who = self.guard.identify(environ.get("HTTP_AUTHORIZATION"))
        except GymserveError:
            return self.app(environ, start_response)  # the application counts invalid keys
        try:
            self.guard.check_instance(who, token)
            content_type = environ.get("CONTENT_TYPE") or ""
            form = instance_parameters.form(content_type, environ.get("HTTP_ACCEPT") or "")
            params = instance_parameters.step(environ["wsgi.input"].read(int(length)), content_type)
            body = self.instances.step(
                token,
                params.action,
                seq=params.seq,
                at=time.monotonic(),
                is_packed=form.is_packed,
                msgpack=form.msgpack,
            )
            status, headers, line = 200, [("Content-Type", form.content_type)], "200 OK"
        except GymserveError as error:
            status, more, body = errors.answer(error)
            headers, line = list(more.items()), f"{status} {_REASONS.get(status, 'Error')}"
        seconds = time.perf_counter() - environ[envelope.BEGAN]
        self.counts.add("POST", "v1.step", status, seconds)
        headers += (
            ("X-Request-Id", request_id),
            ("X-Process-Time", f"{seconds:.6f}"),
            ("Content-Length", str(len(body))),
        )
        start_response(line, headers)
        return [body]

    def _is_ordinary(self, environ: WSGIEnvironment, length: str) -> bool:
        return (
            length.isdecimal()
            and int(length) <= self.max_body_bytes
            and "HTTP_TRANSFER_ENCODING" not in environ
            and "HTTP_CONTENT_ENCODING" not in environ
            and "HTTP_ORIGIN" not in environ
            and (self.hosts is None or envelope.is_trusted(environ.get("HTTP_HOST", ""), self.hosts))
        )
