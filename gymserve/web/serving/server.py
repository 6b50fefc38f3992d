"""How the server runs under gunicorn: one set of values for `gunicorn gym_http_server:app` and for our own start."""

import contextlib
import importlib
import ipaddress
import os
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication

from gunicorn.app.base import BaseApplication

from gymserve.accounts import Accounts
from gymserve.protocol.errors import SettingsError
from gymserve.settings import Settings
from gymserve.store import schema
from gymserve.system import imports

THREADS = 64  # requests that a worker can have waiting for hosts; with 256 busy ones some agents waited for seconds
CONNECTIONS = 4096
ARBITER = "GYMSERVE_ARBITER"  # the variable that holds the arbiter's process id


def options(
    *,
    host: str = "127.0.0.1",
    port: int = 5000,
    workers: int | None = None,
    threads: int = THREADS,
    stop_seconds: int = 30,
    header_bytes: int = 8190,
    **more: Any,
) -> dict[str, Any]:
    """gunicorn's settings, by gunicorn's names; `more` adds or replaces some. One worker a core unless told otherwise."""
    values = {
        "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "worker_class": "gymserve.web.serving.worker.Worker",
        "workers": workers or os.cpu_count() or 1,
        "threads": threads,
        "worker_connections": CONNECTIONS + threads,
        "backlog": 2048,
        "keepalive": 75,
        # For a worker's main loop, not for a request: the hosts have deadlines of their own.
        "timeout": 30,
        "graceful_timeout": stop_seconds,
        "limit_request_line": header_bytes,
        "limit_request_fields": 64,
        "limit_request_field_size": header_bytes,
        # Threads and links to hosts do not survive a fork: each worker makes its own application.
        "preload_app": False,
        # A port that two servers share by mistake sends half of the agents to the wrong one.
        "reuse_port": False,
        "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,
        "control_socket_disable": True,
        "accesslog": None,
        "loglevel": "warning",
    }
    return values | more


def check_reach(settings: Settings, host: str) -> None:
    """Refuses to serve everybody where other machines reach the server.

    Raises:
        SettingsError: AUTH is "open", and `host` is no address of this machine alone.
    """
    if settings.AUTH == "open" and not settings.FORCE_OPEN and not _is_loopback(host):
        raise SettingsError(
            f'AUTH = "open" lets everybody do everything, and {host} can be reached from other machines: '
            'set AUTH = "token", or FORCE_OPEN = True if that is meant'
        )


def check_listeners(settings: Settings) -> None:
    """`check_reach` for the addresses that this process listens on already, as where another program's command serves.

    Raises:
        SettingsError: see `check_reach`.
    """
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # that of the listing itself, which is closed by now
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as sock:
                if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.getsockopt(
                    socket.SOL_SOCKET, socket.SO_ACCEPTCONN
                ):
                    check_reach(settings, sock.getsockname()[0])


def prepare(settings: Settings, address: str) -> str:
    """Makes the database ready, before workers are forked; returns how to make the administrator where there is none yet.

    Raises:
        SettingsError: the database is of another version.
        Unavailable: it cannot be reached.
    """
    accounts = Accounts(settings)
    schema.ensure(accounts.database, Path(settings.DATA))
    secret = accounts.directory.invite_administrator() if settings.AUTH == "token" else None
    accounts.database.close()  # its connections do not survive a fork
    return f"To make the administrator, open this once: http://{address}/setup/{secret}" if secret else ""


def stop() -> None:
    """Asks gunicorn's arbiter, or the only process there is, to end in order."""
    os.kill(int(os.environ.get(ARBITER) or os.getpid()), signal.SIGTERM)


def import_application() -> None:
    """Imports the application's modules, before workers are forked: each then starts sooner, and shares their memory.

    The application itself is made in each worker. Not for `--reload`, where a new worker is to import what has changed.
    """
    importlib.import_module("gymserve.web.app")
    imports.freeze()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Server(BaseApplication):
    """gunicorn, started from Python: `Server(load, options(…)).run()`. `load` makes the application, in each worker."""

    def __init__(self, load: Callable[[], WSGIApplication], values: dict[str, Any]) -> None:
        self.make, self.values = load, values
        super().__init__()

    def load_config(self) -> None:
        for name, value in self.values.items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApplication:  # type: ignore[override]  # types-gunicorn's WSGI is not the standard library's
        return self.make()
