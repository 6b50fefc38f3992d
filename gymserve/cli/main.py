"""The command line: serves, or carries out a sub-command."""

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
    """Serves until SIGTERM or Ctrl-C; 1 and one clear line where it cannot start."""
    imports.freeze()
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
