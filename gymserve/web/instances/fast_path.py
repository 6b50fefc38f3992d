"""The fast path of steps: `POST /v1/envs/<id>/step/` without Flask's routing and requests, which cost more than a step.

It shares the guard, the parameters, the instances and the errors with the view in `v1.py`, and passes unusual requests
on to it: bodies of unknown length, requests from web pages, unknown host names. The connection of an agent that sends one
step after another is lent to the instance's host (`hosts/host/http.py`), which is faster still.
"""

import random
import time
from collections.abc import Iterable
from typing import NamedTuple
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from gymserve.accounts.identity import Identity
from gymserve.hosts.lent.terms import MOST_BYTES, Head, Terms
from gymserve.hosts.pool.instances import Instances
from gymserve.protocol import http, wire
from gymserve.protocol.errors import Forbidden, GymserveError
from gymserve.web.http import envelope, parameters
from gymserve.web.http.access import Guard
from gymserve.web.http.counts import Counts
from gymserve.web.instances import parameters as instance_parameters
from gymserve.web.instances.parameters import Form
from gymserve.web.serving import lending

_PREFIX, _SUFFIX = "/v1/envs/", "/step"


class Context(NamedTuple):
    """What the requests of this server have in common.

    Attributes:
        max_body_bytes: the setting MAX_BODY_BYTES.
        hosts: the host names that the server answers to, or None for any.
        local: whether to refuse requests from other machines, even if the server listens for them.
        reset_headers: the lines that all of the application's responses get; None if they depend on the request, because
            there are proxies in front.
    """

    max_body_bytes: int
    hosts: tuple[str, ...] | None
    local: bool
    reset_headers: bytes | None


class StepFastPath:
    """WSGI middleware that serves ordinary steps, and passes all other requests to the Flask application."""

    def __init__(
        self, app: WSGIApplication, instances: Instances, guard: Guard, counts: Counts, context: Context
    ) -> None:
        self.app = app
        self.instances, self.guard, self.counts, self.context = instances, guard, counts, context

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request_id = envelope.begin(environ)
        if self.context.local and not envelope.is_local(environ.get("REMOTE_ADDR") or ""):
            status, more, body = http.error_response(Forbidden(envelope.NOT_LOCAL))
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
            at, resumed = lending.resumed(environ)
            body = self.instances.step(
                token, params.action, seq=params.seq, at=at, **form._asdict(), **resumed._asdict()
            )
            status, headers = 200, [("Content-Type", form.content_type)]
        except GymserveError as error:
            status, more, body = http.error_response(error)
            headers = list(more.items())
        else:
            self._offer(environ, who, token, form)
        seconds = time.perf_counter() - environ[envelope.BEGAN]
        self.counts.add("POST", "v1.step", status, seconds)
        headers += (
            ("X-Request-Id", request_id),
            ("X-Process-Time", f"{seconds:.6f}"),
            ("Content-Length", str(len(body))),
        )
        start_response(f"{status} {http.reason(status)}", headers)
        return [body]

    def _is_ordinary(self, environ: WSGIEnvironment, length: str) -> bool:
        hosts = self.context.hosts
        return (
            length.isdecimal()
            and int(length) <= self.context.max_body_bytes
            and "HTTP_TRANSFER_ENCODING" not in environ
            and "HTTP_CONTENT_ENCODING" not in environ
            and "HTTP_ORIGIN" not in environ
            and (hosts is None or envelope.is_trusted(environ.get("HTTP_HOST", ""), hosts))
        )

    def _offer(self, environ: WSGIEnvironment, who: Identity | None, token: str, form: Form) -> None:
        """Offer the connection to the instance's host, if its requests are alike."""
        raw = lending.repeated_head(environ)
        if raw is None or "HTTP_EXPECT" in environ or "HTTP_UPGRADE" in environ:
            return
        head = Head.learn(raw, f"{_PREFIX}{token}")
        if head is None or not (form.is_packed or parameters.is_json(environ.get("CONTENT_TYPE") or "")):
            return
        until, revision = self.guard.validity(environ.get("HTTP_AUTHORIZATION"))
        is_known = not self.guard.open and who is not None
        sent_id = environ.get("HTTP_X_REQUEST_ID")
        more = self.context.reset_headers if environ["wsgi.url_scheme"] == "http" else None
        address = environ.get("REMOTE_ADDR") or ""
        terms = Terms(
            token=token,
            step=head.step,
            reset=head.reset if more is not None else b"",
            rest=head.rest,
            is_packed=form.is_packed,
            msgpack=form.msgpack,
            most_bytes=min(MOST_BYTES, self.context.max_body_bytes),
            first_call=random.getrandbits(32),
            until=until,
            page=str(self.guard.authenticator.revision.file) if is_known else "",
            number=revision,
            requests=self.guard.rate(who, address),
            request_id=environ[envelope.ID] if sent_id == environ[envelope.ID] else None,
            reset_headers=more or b"",
            account=who.account_id if who is not None else None,
            address=address,
        )
        lending.offer(environ, self.instances.pool.address(token), wire.pack(terms), terms.first_call)
