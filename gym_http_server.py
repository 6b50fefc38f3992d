"""The front door: `python gym_http_server.py` serves; `gunicorn gym_http_server:app` finds the application here."""

import argparse
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask import Flask

from gymserve import commands, errors, settings
from gymserve.accounts import Accounts
from gymserve.hosts.pool import Pool
from gymserve.store import schema
from gymserve.web.serving import Server, check_reach, options, prepare


def _application(configuration: settings.Settings) -> Flask:
    from gymserve.web.app import create_app  # here, since sub-commands do without environments and pages

    return create_app(configuration)


def __getattr__(name: str) -> Any:
    """`app` is made when it is first asked for, so that the command line can settle the settings before."""
    if name != "app":
        raise AttributeError(name)
    try:
        configuration = settings.load(None, os.environ, {})
        schema.ensure(Accounts(configuration).database, Path(configuration.DATA))
        globals()["app"] = _application(configuration)
    except (errors.SettingsError, errors.Unavailable) as error:
        sys.exit(f"gymserve: {error}")
    return globals()["app"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or Ctrl-C; 1 and one clear line where it cannot start."""
    asked = _parser().parse_args(arguments)
    overrides = {"HOST": asked.host, "PORT": asked.port, "WORKERS": asked.workers, "DATA": asked.data}
    if asked.debug:
        overrides["LOG_LEVEL"] = "debug"
    try:
        configuration = settings.load(asked.settings, os.environ, {k: v for k, v in overrides.items() if v is not None})
        if "command" in asked:
            return commands.run(configuration, asked)
        return serve(configuration, reload=asked.reload)
    except (errors.GymserveError, OSError) as error:
        print(f"gymserve: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gym_http_server.py", description="Serves environments over HTTP.")
    parser.add_argument("-l", "--listen", "--host", dest="host", metavar="ADDRESS", help="where to listen (127.0.0.1)")
    parser.add_argument("-p", "--port", type=int, help="port (5000; 0: any that is free)")
    parser.add_argument("--workers", type=int, help="gunicorn workers (one a core)")
    parser.add_argument("--settings", metavar="FILE", help="settings (localsettings.py, if there is one)")
    parser.add_argument("--data", metavar="DIR", help="where journals are kept")
    parser.add_argument("--debug", action="store_true", help="log everything")
    parser.add_argument("--reload", action="store_true", help="restart the workers when their code changes")
    commands.add(parser)
    return parser


def serve(configuration: settings.Settings, *, reload: bool) -> int:
    """Runs gunicorn on `configuration`.

    Raises:
        SettingsError: the data directory or the address cannot be used.
    """
    _writable(Path(configuration.DATA))
    check_reach(configuration, configuration.HOST)
    listener, port = _listen(configuration.HOST, configuration.PORT)
    pool = Pool(configuration)
    for number in (signal.SIGTERM, signal.SIGINT):  # until gunicorn takes them over
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        pool.start()
        return _serve(configuration, listener, port, reload=reload)
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        pool.stop()


def _serve(configuration: settings.Settings, listener: socket.socket, port: int, *, reload: bool) -> int:
    os.environ["GYMSERVE_ARBITER"] = str(os.getpid())
    shown = f"[{configuration.HOST}]" if ":" in configuration.HOST else configuration.HOST
    data = Path(configuration.DATA).resolve()
    invitation = prepare(configuration, f"{shown}:{port}")
    print(f"gymserve listens on http://{shown}:{port}, and keeps its data in {data}", flush=True)
    print(
        f"Try: curl -X POST http://{shown}:{port}/v1/envs/ "
        """-H 'Content-Type: application/json' -d '{"env_id": "CartPole-v1"}'""",
        flush=True,
    )
    if invitation:
        print(invitation, flush=True)
    values = options(
        bind=f"fd://{listener.fileno()}",
        workers=configuration.WORKERS,
        threads=configuration.THREADS,
        stop_seconds=int(configuration.SHUTDOWN_SECONDS),
        header_bytes=configuration.MAX_HEADER_BYTES,
        # gunicorn's debug log holds paths as they came, and with them secrets.
        loglevel="info" if configuration.LOG_LEVEL == "debug" else "warning",
        reload=reload,
    )
    Server(lambda: _application(configuration), values).run()
    return 0


def _writable(data: Path) -> Path:
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = data / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise errors.SettingsError(f"the data directory {data} cannot be written: {error.strerror}") from error
    return data.resolve()


def _listen(host: str, port: int) -> tuple[socket.socket, int]:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise errors.SettingsError(f"cannot listen on {host}:{port}: {reason}; choose another with -p") from error
    os.set_inheritable(listener.fileno(), True)
    return listener, listener.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())
