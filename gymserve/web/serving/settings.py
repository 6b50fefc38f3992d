"""gunicorn's settings: `gunicorn -c python:gymserve.web.serving.settings gym_http_server:app`.

gunicorn's command line overrides them.
"""

import os
import sys

from gunicorn.arbiter import Arbiter

from gymserve import settings
from gymserve.protocol.errors import SettingsError, Unavailable
from gymserve.web.serving.server import check_reach, import_application, options, prepare

globals().update(options())


def on_starting(server: Arbiter) -> None:
    """Checks the addresses that gunicorn listens on, prepares the database, and imports the modules that all workers need."""
    try:
        configuration = settings.load(None, os.environ, {})
        for address in server.cfg.address:
            if isinstance(address, tuple):  # other addresses are UNIX sockets
                check_reach(configuration, address[0])
        first = server.cfg.address[0]
        where = f"{first[0]}:{first[1]}" if isinstance(first, tuple) else "localhost"
        if invitation := prepare(configuration, where):
            print(invitation, flush=True)
        if not server.cfg.reload:
            import_application()
    except (SettingsError, Unavailable) as error:
        sys.exit(f"gymserve: {error}")
