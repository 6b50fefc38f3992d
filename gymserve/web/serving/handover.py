"""Taking a request's socket away from the web server, so that another process may answer the client from then on.

    client = handover.client_socket(request.environ)      # None: it cannot be handed away, relay instead
    link.send(…, handover.early_bytes(request.environ)), socket.send_fds(…, [client.fileno()]), acknowledged
    handover.release(request.environ)
    return Response(status=101)                            # for the access log; it reaches nobody

Works under gunicorn's sync, gthread and own worker and under Werkzeug's development server.
"""

import os
import socket
import ssl
from typing import Any
from wsgiref.types import WSGIEnvironment


def client_socket(environ: WSGIEnvironment) -> socket.socket | None:
    """The request's socket, or None where the bare descriptor is not the whole connection (TLS, HTTP/2, other servers)."""
    found = _connection(environ)
    over_http2 = environ.get("HTTP_VERSION") == "2"
    return None if over_http2 or not isinstance(found, socket.socket) or isinstance(found, ssl.SSLSocket) else found


def early_bytes(environ: WSGIEnvironment) -> bytes:
    """Take what the client sent behind its request and the server has read already."""
    arrived = environ["wsgi.input"]
    if "werkzeug.socket" in environ:
        client = environ["werkzeug.socket"]
        patience = client.gettimeout()
        client.settimeout(0.0)
        early = arrived.read1() if hasattr(arrived, "read1") else b""
        client.settimeout(patience)
        return early
    unreader = getattr(getattr(arrived, "reader", None), "unreader", None)
    return unreader.take_buffered() if unreader else b""


def release(environ: WSGIEnvironment) -> None:
    """Make the web server forget the connection, without a byte to the client and without shutting it down.

    The descriptor is pointed at a connection that has ended: whatever the server still does to it, writing an answer,
    shutting it down, closing it, ends there, in the ways that servers are used to.
    """
    ended, other_end = socket.socketpair()
    with ended, other_end:
        os.dup2(ended.fileno(), _connection(environ).fileno(), inheritable=False)


def _connection(environ: WSGIEnvironment) -> Any:
    return environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
