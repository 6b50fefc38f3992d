"""The command line: runs the server, or a sub-command."""

import argparse
import os
import sys
from collections.abc import Sequence

from gymserve import settings
from gymserve.cli import commands
from gymserve.cli.serve import serve
from gymserve.protocol import errors
from gymserve.system import imports


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the server until SIGTERM or Ctrl-C, or a sub-command; returns 1 after a one-line message if that fails."""
    imports.freeze()
    options = _parser().parse_args(arguments)
    overrides = {"HOST": options.host, "PORT": options.port, "WORKERS": options.workers, "DATA": options.data}
    if options.debug:
        overrides["LOG_LEVEL"] = "debug"
    try:
        configuration = settings.load(
            options.settings, os.environ, {k: v for k, v in overrides.items() if v is not None}
        )
        if "command" in options:
            return commands.run(configuration, options)
        return serve(configuration, reload=options.reload)
    except (errors.GymserveError, OSError) as error:
        print(f"gymserve: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gym_http_server.py", description="Serves environments over HTTP.")
    parser.add_argument(
        "-l", "--listen", "--host", dest="host", metavar="ADDRESS", help="address to listen on (127.0.0.1)"
    )
    parser.add_argument("-p", "--port", type=int, help="port (5000; 0: a free one)")
    parser.add_argument("--workers", type=int, help="number of gunicorn workers (one per core)")
    parser.add_argument("--settings", metavar="FILE", help="settings file (localsettings.py, if it exists)")
    parser.add_argument("--data", metavar="DIR", help="data directory")
    parser.add_argument("--debug", action="store_true", help="log everything")
    parser.add_argument("--reload", action="store_true", help="restart the workers when their code changes")
    commands.add(parser)
    return parser
