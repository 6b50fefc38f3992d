"""How the server runs under gunicorn: one set of values for `gunicorn gym_http_server:app` and for our own start."""

import ipaddress
import os
from pathlib import Path

from gunicorn.app.base import BaseApplication

from gymserve.accounts import Accounts
from gymserve.errors import SettingsError
from gymserve.store import schema

THREADS = 64  # requests that a worker can have waiting for hosts; with 256 busy ones some agents waited for seconds
CONNECTIONS = 4096


def options(
    *,
    host="127.0.0.1",
    port=5000,
    workers=None,
    threads=THREADS,
    stop_seconds=30,
    header_bytes=8190,
    **more,
):
    """gunicorn's settings, by gunicorn's names; `more` adds or replaces some. One worker a core unless told otherwise."""
    values = {
        "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "worker_class": "gymserve.web.worker.Worker",
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


def check_reach(settings, host):
    """Refuses to serve everybody where other machines reach the server.

    Raises:
        SettingsError: AUTH is "open", and `host` is no address of this machine alone.
    """
    if settings.AUTH == "open" and not settings.FORCE_OPEN and not _is_loopback(host):
        raise SettingsError(
            f'AUTH = "open" lets everybody do everything, and {host} can be reached from other machines: '
            'set AUTH = "token", or FORCE_OPEN = True if that is meant'
        )


def prepare(settings, address):
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


def _is_loopback(host):
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Server(BaseApplication):
    """gunicorn, started from Python: `Server(load, options(…)).run()`. `load` makes the application, in each worker."""

    def __init__(self, load, values):
        self.make, self.values = load, values
        super().__init__()

    def load_config(self):
        for name, value in self.values.items():
            self.cfg.set(name, value)

    def load(self):
        return self.make()
