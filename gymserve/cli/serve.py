"""`gymserve serve`: the process from which gunicorn's workers are forked, and the application of each worker."""

import errno
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from wsgiref.types import WSGIApplication

import click
import urllib3

from gymserve import settings
from gymserve.accounts import Accounts, AccountSettings
from gymserve.cli.settings import read_settings
from gymserve.hosts.pool.connections import Pool
from gymserve.protocol import errors
from gymserve.store import schema
from gymserve.system.terminal.commands import DATA, SETTINGS, with_options
from gymserve.web.serving.server import (
    ARBITER,
    GunicornServer,
    check_listeners,
    check_reach,
    import_application,
    options,
    prepare,
)

CANNOT_BE_LOADED = 4  # if a worker exits with this status, gunicorn exits instead of starting another one


@click.command
@click.option("-l", "--listen", "--host", "host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("-p", "--port", type=int, help="Port; 0 picks a free one.  [default: 5000]")
@click.option("--workers", type=int, help="Number of gunicorn workers.  [default: one per core]")
@click.option("--debug", is_flag=True, help="Log everything.")
@click.option("--reload", is_flag=True, help="Restart the workers when their code changes.")
@click.option("--demo", is_flag=True, help="Add a challenge, a submission and a trained model, to look around.")
@with_options(SETTINGS, DATA)
def command(host: str | None, port: int | None, workers: int | None, debug: bool, reload: bool, demo: bool) -> int:
    """Runs the server, until Ctrl-C or SIGTERM.

    \b
    Example: gymserve serve -p 8000 --data /srv/gymserve
    """
    level = "debug" if debug else None
    configuration = read_settings(HOST=host, PORT=port, WORKERS=workers, LOG_LEVEL=level)
    if demo and configuration.AUTH != "open":
        raise errors.SettingsError('--demo needs AUTH = "open", since it has no account')
    return serve(configuration, reload=reload, demo=demo)


def application(configuration: settings.Settings) -> WSGIApplication:
    """Makes the application with these settings."""
    from gymserve.web.app import create_app  # deferred, since sub-commands need no environments and pages

    return create_app(configuration)


def loaded_application() -> WSGIApplication:
    """Makes the application for a server that imports `gym_http_server:app`; exits if it cannot be made.

    The settings come from the settings file and the environment.
    """
    if "gunicorn.app.wsgiapp" in sys.modules and "gymserve.web.serving.worker" not in sys.modules:
        print(
            "gymserve: gunicorn runs without gymserve's settings, so there is no stream and steps are slower: "
            "start it with -c python:gymserve.web.serving.settings",
            file=sys.stderr,
            flush=True,
        )
    try:
        configuration = settings.load(None, os.environ, {})
        _check_listeners(configuration)
        schema.ensure(Accounts(configuration.pick(AccountSettings)).database, Path(configuration.DATA))
        return application(configuration)
    except (errors.SettingsError, errors.Unavailable) as error:
        sys.exit(f"gymserve: {error}")


def _check_listeners(configuration: settings.Settings) -> None:
    try:
        check_listeners(configuration)
    except errors.SettingsError as error:
        print(f"gymserve: {error}", file=sys.stderr, flush=True)
        sys.exit(CANNOT_BE_LOADED)


def serve(configuration: settings.Settings, *, reload: bool, demo: bool = False) -> int:
    """Runs gunicorn with these settings.

    Raises:
        SettingsError: the data directory or the address cannot be used.
    """
    _writable(Path(configuration.DATA))
    check_reach(configuration, configuration.HOST)
    listener, port = _listen(configuration.HOST, configuration.PORT)
    pool = Pool.of(configuration)
    own = os.getpid()
    for number in (signal.SIGTERM, signal.SIGINT):  # until gunicorn sets its own handlers
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        with ThreadPoolExecutor(1) as importer:  # its thread ends before workers are forked
            if not reload:
                importer.submit(import_application)  # if it fails, the workers report the error
            pool.supervisor.start()
        return _serve(configuration, listener, port, reload=reload, demo=demo)
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        if os.getpid() == own:  # an exiting worker runs this block too
            pool.supervisor.stop()


def _serve(configuration: settings.Settings, listener: socket.socket, port: int, *, reload: bool, demo: bool) -> int:
    os.environ[ARBITER] = str(os.getpid())
    shown = f"[{configuration.HOST}]" if ":" in configuration.HOST else configuration.HOST
    data = Path(configuration.DATA).resolve()
    invitation = prepare(configuration, f"{shown}:{port}")
    token = configuration.AUTH == "token"
    header = """ -H "Authorization: Bearer $GYMSERVE_TOKEN\"""" if token else ""
    print(
        f"gymserve listens on http://{shown}:{port} and keeps its data in {data}\n"
        "A browser can open that address; Ctrl-C stops the server.\n"
        f"Try: curl -X POST http://{shown}:{port}/v1/envs/{header} "
        """-H 'Content-Type: application/json' -d '{"env_id": "CartPole-v1"}'""",
        flush=True,
    )
    if token:
        print(f"A key for it: http://{shown}:{port}/account, or `gymserve key create EMAIL NAME`", flush=True)
    if invitation:
        print(invitation, flush=True)
    if demo:  # it waits for the server, and ends by itself
        subprocess.Popen([sys.executable, "-P", "-m", "gymserve.cli.demo", f"http://{shown}:{port}"])
    values = options(
        bind=f"fd://{listener.fileno()}",
        workers=configuration.WORKERS,
        threads=configuration.THREADS,
        stop_seconds=int(configuration.SHUTDOWN_SECONDS),
        header_bytes=configuration.MAX_HEADER_BYTES,
        # gunicorn's debug log contains unfiltered paths, and so secrets.
        loglevel="info" if configuration.LOG_LEVEL == "debug" else "warning",
        reload=reload,
    )
    GunicornServer(lambda: application(configuration), values).run()
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
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE and _is_gymserve(host, port):
            reason += " by another gymserve server"
        raise errors.SettingsError(f"cannot listen on {host}:{port}: {reason}; choose another with -p") from error
    os.set_inheritable(listener.fileno(), True)
    return listener, listener.getsockname()[1]


def _is_gymserve(host: str, port: int) -> bool:
    """Whether a gymserve server answers there."""
    try:
        answer = urllib3.request(
            "GET", str(urllib3.util.Url("http", host=host, port=port, path="/health")), timeout=1, retries=False
        )
        return "uptime_seconds" in answer.json()
    except (urllib3.exceptions.HTTPError, ValueError, TypeError):
        return False
