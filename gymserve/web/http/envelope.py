"""What every request gets: an id, its duration, security headers and a line in the log."""

import functools
import ipaddress
import itertools
import logging
import re
import secrets
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request
from werkzeug.exceptions import SecurityError
from werkzeug.sansio.utils import host_is_trusted

from gymserve.web.http.counts import Counts

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

ID, BEGAN = "gymserve.request_id", "gymserve.began"  # in the WSGI environment
SECURITY_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
]
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_IPV6 = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?")
_LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]
NOT_LOCAL = (
    'AUTH = "open" lets everybody do everything, so this server answers to its own machine only: set AUTH = "token", '
    "or FORCE_OPEN = True if that is meant"
)
_numbers = itertools.count(1)
_process = ""
log = logging.getLogger("gymserve.requests")


def begin(environ: "WSGIEnvironment") -> str:
    """Record when a request began and return its id: the client's `X-Request-Id` if it is well formed, or a new one."""
    global _process
    environ[BEGAN] = time.perf_counter()
    request_id: str | None = environ.get("HTTP_X_REQUEST_ID")
    if request_id is None or not _ID.fullmatch(request_id):
        _process = _process or secrets.token_hex(6)
        request_id = f"{_process}-{next(_numbers)}"
    environ[ID] = request_id
    return request_id


def trusted_hosts(names: Sequence[str], *, host: str, local: bool) -> tuple[str, ...] | None:
    """Return the host names that the server answers to, or None for any.

    A server that is open to everybody on this machine answers to this machine's names only. Otherwise a page elsewhere
    could resolve its own name to this address (DNS rebinding) and use the server through its visitors' browsers.

    Args:
        names: the setting TRUSTED_HOSTS.
        host: the address that the server listens on.
        local: see `Settings.is_local`.
    """
    if names or not local:
        return tuple(names) or None
    return (*_LOOPBACK, host) if host not in ("0.0.0.0", "::", "") else None


@functools.lru_cache(256)
def is_trusted(host: str, hosts: tuple[str, ...]) -> bool:
    """Whether a `Host` header names one of `hosts`."""
    if match := _IPV6.fullmatch(host):  # Werkzeug cuts each of `hosts` at its first colon
        return _address(match[1]) in {_address(name.strip("[]")) for name in hosts if ":" in name}
    return host_is_trusted(host, hosts)


def _address(text: str) -> ipaddress.IPv6Address | None:
    try:
        return ipaddress.IPv6Address(text)
    except ValueError:
        return None


@functools.lru_cache(256)
def is_local(peer: str) -> bool:
    """Whether a request comes from this machine: from a loopback address, or through a UNIX socket (no address)."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return not peer
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback


# The headers that pages of other sites may read and send.
EXPOSED_HEADERS = "X-Request-Id, X-Process-Time, Retry-After, X-Total-Count, ETag"
ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, X-Request-Id, If-None-Match, Last-Event-ID"


def register(app: Flask, counts: Counts, *, hosts: tuple[str, ...] | None, origins: Collection[str]) -> None:
    """Check the `Host` of every request of `app`, add headers to every response, and log it.

    Args:
        hosts: see `trusted_hosts`.
        origins: the setting CORS_ORIGINS.
    """

    @app.before_request
    def check_host() -> None:
        if hosts is not None and not is_trusted(host := request.host, hosts):
            raise SecurityError(f"this server does not answer to the name {host!r:.100}: add it to TRUSTED_HOSTS")

    @app.after_request
    def complete(response: Response) -> Response:
        headers, environ = response.headers, request.environ
        headers["X-Request-Id"] = environ.get(ID, "")
        seconds = time.perf_counter() - environ.get(BEGAN, time.perf_counter())
        headers["X-Process-Time"] = f"{seconds:.6f}"
        for name, value in SECURITY_HEADERS:
            headers.setdefault(name, value)
        if request.endpoint != "static":
            headers.setdefault("Cache-Control", "no-store")
        if request.is_secure:
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        _allow_origin(response, origins)
        _record(response, seconds, counts)
        return response


def common_headers(origins: Collection[str]) -> list[tuple[str, str]]:
    """Return the headers that every response of the application has, if it is not for a page and has no others."""
    headers = [*SECURITY_HEADERS, ("Cache-Control", "no-store")]
    return [*headers, ("Vary", "Origin")] if origins else headers


def _allow_origin(response: Response, origins: Collection[str]) -> None:
    """Add CORS headers (https://fetch.spec.whatwg.org) for the origins in the settings, and never for cookies.

    Flask-CORS 6 is less safe: it takes an origin such as `http://[::1]:3000` for a regular expression, which `http://1:3000`
    matches, and leaves out `Vary` where a cache needs it: without an `Origin`, or if there is only one in the settings.
    """
    if not origins:
        return
    response.vary.add("Origin")
    origin = request.headers.get("Origin")
    if origin is None or (origin not in origins and "*" not in origins):
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, PATCH, DELETE"
        response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
        response.headers["Access-Control-Max-Age"] = "600"


def _record(response: Response, seconds: float, counts: Counts) -> None:
    """Count the request, and log it."""
    endpoint = request.endpoint or "none"
    counts.add(request.method, endpoint, response.status_code, seconds)
    who = g.get("identity")
    log.info(
        "%s %s %d",
        request.method,
        request.url_rule.rule if request.url_rule else "(unknown path)",  # the path itself may contain secrets
        response.status_code,
        extra={
            "request_id": request.environ.get(ID, ""),
            "account": who.account_id if who else None,
            "address": request.remote_addr,
            "milliseconds": round(seconds * 1000, 3),
        },
    )
