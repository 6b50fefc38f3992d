"""The entry point: `python gym_http_server.py` runs the server; `gunicorn gym_http_server:app` imports the application."""

import sys
from typing import Any

from gymserve.system import extras

with extras.required():
    from gymserve.cli.main import main
    from gymserve.cli.serve import loaded_application


def __getattr__(name: str) -> Any:
    """Makes `app` when it is first used, so that the command line can load the settings before."""
    if name != "app":
        raise AttributeError(name)
    globals()["app"] = loaded_application()
    return globals()["app"]


if __name__ == "__main__":
    sys.exit(main())
