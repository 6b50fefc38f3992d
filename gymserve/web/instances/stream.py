"""The stream's handshake: Flask checks it, then the agent's socket is handed to the instance's host."""

import base64
import binascii
import select
import socket

from flask import Response, request

from gymserve.protocol import errors, wire
from gymserve.web.http.access import ticketed
from gymserve.web.http.backend import backend
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.openapi import IN_INSTANCE, documented
from gymserve.web.serving import handover

blueprint = Blueprint("stream", scope="environments", tag="Instances", url_prefix="/v1")
CHUNK = 1 << 16
SILENT_SECONDS = 120.0


@blueprint.get("/envs/<instance_id>/stream", websocket=True)
@blueprint.get("/envs/<instance_id>/stream", endpoint="no_handshake")  # without an upgrade: an error says so
@ticketed
@documented(status=101, errors=IN_INSTANCE, query={"compression": "zstd or lz4, for binary messages"})
def attach(instance_id: str) -> Response:
    """Upgrade to a WebSocket on which the instance is stepped (`docs/agents/stream.md`)."""
    handshake = _handshake()
    compression = request.args.get("compression", "")
    client = handover.client_socket(request.environ)
    early = handover.early_bytes(request.environ)
    if client is not None:
        backend().instances.attach(
            instance_id, client.fileno(), compression=compression, handshake=handshake, early=early
        )
        handover.release(request.environ)
        return Response(status=101)
    connection = request.environ.get("gunicorn.socket") or request.environ.get("werkzeug.socket")
    if connection is None:
        raise errors.InvalidRequest("this web server cannot upgrade connections: step over HTTP")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        backend().instances.attach(
            instance_id, theirs.fileno(), compression=compression, handshake=handshake, early=early
        )
        theirs.close()
        relay(connection, ours)
    handover.release(request.environ)
    return Response(status=101)


def _handshake() -> bytes:
    """Return the `101` that accepts the current request.

    Raises:
        InvalidRequest: the request is not a WebSocket handshake of version 13.
    """
    headers = request.headers
    tokens = [token.strip().lower() for token in headers.get("Connection", "").split(",")]
    key = headers.get("Sec-WebSocket-Key", "").strip()
    if headers.get("Upgrade", "").lower() != "websocket" or "upgrade" not in tokens:
        raise errors.InvalidRequest("the stream is a WebSocket: send Connection: Upgrade and Upgrade: websocket")
    if headers.get("Sec-WebSocket-Version") != "13":
        raise errors.InvalidRequest("the stream speaks WebSocket version 13 (Sec-WebSocket-Version)")
    try:
        if len(base64.b64decode(key, validate=True)) != 16:
            raise ValueError
    except (binascii.Error, ValueError):
        raise errors.InvalidRequest("Sec-WebSocket-Key must be 16 bytes in base64") from None
    lines = (
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {wire.accept_key(key)}",
    )
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def relay(agent: socket.socket, host: socket.socket) -> None:
    """Relay bytes both ways until either side closes, for sockets that cannot be handed over, e.g. with TLS."""
    agent.settimeout(SILENT_SECONDS)
    while True:
        buffered = getattr(agent, "pending", lambda: 0)()  # decrypted bytes, which `select` does not see
        readable = [agent] if buffered else select.select([agent, host], [], [], SILENT_SECONDS)[0]
        if not readable:
            return
        try:
            for source, sink in ((agent, host), (host, agent)):
                if source in readable:
                    data = source.recv(CHUNK)
                    if not data:
                        return
                    sink.sendall(data)
        except OSError:
            return
