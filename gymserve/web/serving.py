"""How the server runs under gunicorn: one set of values for `gunicorn gym_http_server:app` and for our own start."""

import os

from gunicorn.app.base import BaseApplication

THREADS = 64  # requests that a worker can have waiting for hosts; with 256 busy ones some agents waited for seconds
CONNECTIONS = 4096


def options(*, host="127.0.0.1", port=5000, workers=None, threads=THREADS, stop_seconds=30, access_log=None, **more):
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
        "limit_request_line": 8190,
        "limit_request_fields": 64,
        "limit_request_field_size": 8190,
        # Threads and links to hosts do not survive a fork: each worker makes its own application.
        "preload_app": False,
        # A port that two servers share by mistake sends half of the agents to the wrong one.
        "reuse_port": False,
        "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,
        "control_socket_disable": True,
        "accesslog": access_log,
        "loglevel": "warning",
    }
    return values | more


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
