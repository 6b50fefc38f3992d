"""Detach a request's socket from the web server, so that another process can answer the client from then on.

    client = handover.client_socket(request.environ)  # None if it cannot be handed over: relay instead
    link.send(…, handover.early_bytes(request.environ))
    socket.send_fds(…, [client.fileno()])  # and wait for the acknowledgement
    handover.release(request.environ)
    return Response(status=101)  # for the access log; it is never sent

This works under gunicorn's sync and gthread workers, our own worker, and Werkzeug's development server.
"""

import os
import socket
import ssl
from typing import Any
from wsgiref.types import WSGIEnvironment


def client_socket(environ: WSGIEnvironment) -> socket.socket | None:
    """Return the request's socket, or None if its descriptor is not the whole connection (TLS, HTTP/2, other servers)."""
    sock = _connection(environ)
    over_http2 = environ.get("HTTP_VERSION") == "2"
    return None if over_http2 or not isinstance(sock, socket.socket) or isinstance(sock, ssl.SSLSocket) else sock


def early_bytes(environ: WSGIEnvironment) -> bytes:
    """Take the bytes after the request that the server has already read."""
    stream = environ["wsgi.input"]
    if "werkzeug.socket" in environ:
        client = environ["werkzeug.socket"]
        timeout = client.gettimeout()
        client.settimeout(0.0)
        early = stream.read1() if hasattr(stream, "read1") else b""
        client.settimeout(timeout)
        return early
    unreader = getattr(getattr(stream, "reader", None), "unreader", None)
    return unreader.take_buffered() if unreader else b""


def release(environ: WSGIEnvironment) -> None:
    """Detach the connection from the web server, without sending a byte to the client or shutting it down.

    The server's descriptor then refers to a closed connection, so writing a response to it, shutting it down and
    closing it all fail in the ways that servers handle anyway.
    """
    closed, other_end = socket.socketpair()
    with closed, other_end:
        os.dup2(closed.fileno(), _connection(environ).fileno(), inheritable=False)


def _connection(environ: WSGIEnvironment) -> Any:
    return environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
