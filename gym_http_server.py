"""The front door: `python gym_http_server.py` serves; `gunicorn gym_http_server:app` finds the application here."""

import sys
from typing import Any

from gymserve.cli.main import main
from gymserve.cli.serve import loaded_application


def __getattr__(name: str) -> Any:
    """`app` is made when it is first used, so that the command line can settle the settings before."""
    if name != "app":
        raise AttributeError(name)
    globals()["app"] = loaded_application()
    return globals()["app"]


if __name__ == "__main__":
    sys.exit(main())
