"""Where the UNIX sockets that connect a server's processes are, and what the kernel knows about a TCP connection."""

import os
import socket
import tempfile
import time

_LAST_DATA = 52  # the offset of tcpi_last_data_recv in Linux' `struct tcp_info`
MAX_PATH_BYTES = 50  # of the directory; the full path of a socket may have 107


def directory() -> str:
    """Returns the directory for temporary files, or `/tmp` if its path would be too long for a socket."""
    default = tempfile.gettempdir()
    return default if len(os.fsencode(default)) <= MAX_PATH_BYTES else "/tmp"


def last_arrival(sock: socket.socket, now: float) -> float:
    """The monotonic time when the last data arrived on a connection, at most a hundredth of a second off, and at most `now`.

    No process needs to have looked at that moment. Without TCP, it is `now`.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return now
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA + 4)
    return min(now, time.monotonic() - int.from_bytes(info[_LAST_DATA:], "little") / 1000)
