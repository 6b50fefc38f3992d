"""Responses whose head and body are sent together."""

import json
import socket
import time

from gunicorn import util
from gunicorn.config import Config
from gunicorn.http import Request, wsgi

from gymserve.protocol.http import date
from gymserve.web.serving import reader


def write_error(sock: socket.socket, status_int: int, reason: str, mesg: str) -> None:
    """Send an error to a client whose request never reaches the application. The names are gunicorn's."""
    body = json.dumps({"message": mesg or reason, "error": reason.replace(" ", "")}).encode()
    head = (
        f"HTTP/1.1 {status_int} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"X-Content-Type-Options: nosniff\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, head.encode() + body)


class Response(wsgi.Response):
    """A response that sends its head together with the first piece of its body, without a `Server` header."""

    _omits_body: bool  # set by gunicorn

    def __init__(self, req: Request, sock: socket.socket, cfg: Config) -> None:
        super().__init__(req, sock, cfg)
        sock.settimeout(reader.REQUEST_SECONDS)

    def default_headers(self) -> list[str]:
        """Return gunicorn's own header lines, without `Server`, and with a date that is formatted once a second."""
        connection = "upgrade" if self.upgrade else "close" if self.should_close() else "keep-alive"
        major, minor = self.req.version or (1, 1)
        lines = [
            f"HTTP/{major}.{minor} {self.status}\r\n",
            f"Date: {date(int(time.time()))}\r\n",
            f"Connection: {connection}\r\n",
        ]
        return lines + ["Transfer-Encoding: chunked\r\n"] if self.chunked else lines

    def send_headers(self) -> None:
        if not self.headers_sent:
            self.sock.sendall(self._head())
            self.headers_sent = True

    def write(self, arg: bytes) -> None:
        if (
            self.headers_sent
            or self.chunked
            or self._omits_body
            or type(arg) is not bytes
            or len(arg) > reader.WHOLE_BYTES
        ):
            self.sock.settimeout(reader.REQUEST_SECONDS + len(arg) / reader.BYTES_PER_SECOND)
            super().write(arg)
            return
        body = arg[: self.response_length]
        self.sock.sendall(self._head() + body)
        self.headers_sent = True
        self.sent = len(body)

    def _head(self) -> bytes:
        lines = self.default_headers()
        lines.extend(f"{name}: {value}\r\n" for name, value in self.headers)
        return ("".join(lines) + "\r\n").encode("latin-1")
