"""TCP connections to a server, through its proxy if there is one."""

import socket
import ssl
import struct
import sys

from gymserve.client.transport.address import Address
from gymserve.client.transport.exceptions import CannotUpgrade, NotReachable

MAX_HEAD = 8192  # bytes of a proxy's response
_KEEPALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 40_000}


def connect(address: Address, *, timeout: float) -> socket.socket:
    """A connection to the server, before any TLS.

    Raises:
        NotReachable: no connection could be made.
        CannotUpgrade: the proxy lets nothing but HTTP through.
    """
    proxy = address.proxy()
    nearest = proxy or address
    try:
        sock = socket.create_connection((nearest.host, nearest.port), timeout)
    except OSError as error:
        raise NotReachable(f"no server answers at {nearest}: {error}") from error
    try:
        if proxy is not None:
            _tunnel(sock, address, proxy)
        configure(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def configure(sock: socket.socket) -> None:
    """Has `sock` send without delay, and notice within a minute that the other machine is gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def set_timeout(sock: socket.socket, seconds: float) -> None:
    """Has `sock` wait for so long. Where it can, the kernel watches the time: Python's own way costs two system calls a step.

    After that, waiting too long is a TimeoutError, or a BlockingIOError from the kernel.
    """
    if isinstance(sock, ssl.SSLSocket) or sys.platform == "win32":
        sock.settimeout(seconds)
        return
    sock.settimeout(None)
    span = struct.pack("@ll", int(seconds), max(1, int(seconds % 1 * 1e6)))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, span)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, span)


def _tunnel(sock: socket.socket, address: Address, proxy: Address) -> None:
    if proxy.scheme == "https":
        raise CannotUpgrade(f"a stream cannot pass {proxy}, which speaks TLS itself")
    lines = [f"CONNECT {address.netloc} HTTP/1.1", f"Host: {address.netloc}"]
    lines += [f"{name}: {value}" for name, value in proxy.proxy_headers.items()]
    head = b""
    try:
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        # Byte by byte, since what follows the head is not the proxy's.
        while b"\r\n\r\n" not in head and len(head) < MAX_HEAD and (byte := sock.recv(1)):
            head += byte
    except OSError as error:
        raise NotReachable(f"the proxy {proxy} does not answer: {error}") from error
    if head.split(b" ", 2)[1:2] != [b"200"]:
        raise CannotUpgrade(f"the proxy {proxy} refuses to open a tunnel")
