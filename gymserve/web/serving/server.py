"""gunicorn's configuration, for both `gunicorn gym_http_server:app` and our own command."""

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
from gunicorn.arbiter import Arbiter

from gymserve.accounts import Accounts, AccountSettings
from gymserve.protocol.errors import SettingsError
from gymserve.settings import Settings
from gymserve.store import schema
from gymserve.system import imports

THREADS = 64  # requests of a worker that can wait for hosts at a time; with 256 some agents waited for seconds
CONNECTIONS = 4096
ARBITER = "GYMSERVE_ARBITER"  # the environment variable with the arbiter's process id


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
    """Return gunicorn's settings by their gunicorn names; `more` adds or replaces some. The default is a worker per core."""
    values = {
        "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "worker_class": "gymserve.web.serving.worker.KeepAliveWorker",
        "post_fork": hand_over_signals,
        "workers": workers or os.cpu_count() or 1,
        "threads": threads,
        "worker_connections": CONNECTIONS + threads,
        "backlog": 2048,
        "keepalive": 75,
        # This limits a worker's main loop, not a request: the hosts have deadlines of their own.
        "timeout": 30,
        "graceful_timeout": stop_seconds,
        "limit_request_line": header_bytes,
        "limit_request_fields": 64,
        "limit_request_field_size": header_bytes,
        # Threads and links to hosts do not survive a fork, so each worker makes its own application.
        "preload_app": False,
        # If two servers shared a port by mistake, half of the agents would reach the wrong one.
        "reuse_port": False,
        "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,
        "control_socket_disable": True,
        "accesslog": None,
        "loglevel": "warning",
    }
    return values | more


def hand_over_signals(arbiter: Arbiter, worker: Any) -> None:
    """Give a new worker the queue of its copy of the arbiter, where signals go until the worker has its own handlers."""
    worker.early_signals = arbiter.SIG_QUEUE


def check_reach(settings: Settings, host: str) -> None:
    """Refuse to serve without authentication on an address that other machines can reach.

    Raises:
        SettingsError: AUTH is "open", and `host` is not a loopback address.
    """
    if settings.is_local and not _is_loopback(host):
        raise SettingsError(
            f'AUTH = "open" lets everybody do everything, and {host} can be reached from other machines: '
            'set AUTH = "token", or FORCE_OPEN = True if that is meant'
        )


def check_listeners(settings: Settings) -> None:
    """Apply `check_reach` to the addresses on which this process listens already, if another program started it.

    Raises:
        SettingsError: see `check_reach`.
    """
    for name in os.listdir("/proc/self/fd"):  # psutil looks into /proc/net, which systemd's ProcSubset=pid hides
        with contextlib.suppress(OSError):  # the descriptor of the listing itself is closed by now
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as sock:
                if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.getsockopt(
                    socket.SOL_SOCKET, socket.SO_ACCEPTCONN
                ):
                    check_reach(settings, sock.getsockname()[0])


def prepare(settings: Settings, address: str) -> str:
    """Prepare the database before workers are forked.

    Returns: how to create the first administrator, or "" if there is one.

    Raises:
        SettingsError: the database has another version.
        Unavailable: the database cannot be reached.
    """
    accounts = Accounts(settings.pick(AccountSettings))
    schema.ensure(accounts.database, Path(settings.DATA))
    secret = accounts.directory.invite_administrator() if settings.AUTH == "token" else None
    accounts.database.close()  # its connections do not survive a fork
    return f"To create the administrator, open this once: http://{address}/setup/{secret}" if secret else ""


def stop() -> None:
    """Ask gunicorn's arbiter, or this process if it is the only one, to shut down gracefully."""
    os.kill(int(os.environ.get(ARBITER) or os.getpid()), signal.SIGTERM)


def import_application() -> None:
    """Import the application's modules before workers are forked, so they start sooner and share memory.

    Each worker makes its own application. Do not use this with `--reload`, where new workers import changed modules.
    """
    importlib.import_module("gymserve.web.app")
    imports.freeze()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class GunicornServer(BaseApplication):
    """gunicorn, started with `GunicornServer(load, options(…)).run()`. Each worker calls `load` for its application."""

    def __init__(self, load: Callable[[], WSGIApplication], values: dict[str, object]) -> None:
        self.make, self.values = load, values
        super().__init__()

    def load_config(self) -> None:
        for name, value in self.values.items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApplication:  # type: ignore[override]  # types-gunicorn's WSGI is not the standard library's
        return self.make()
