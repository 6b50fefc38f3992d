"""Read by `gunicorn gym_http_server:app`; what is given on its command line comes first."""

import os
import sys

from gunicorn.arbiter import Arbiter

from gymserve import settings
from gymserve.protocol.errors import SettingsError, Unavailable
from gymserve.web.serving.server import check_reach, import_application, options, prepare

globals().update(options())


def on_starting(server: Arbiter) -> None:
    """Checks where it listens, makes the database ready, and imports what all workers need."""
    try:
        configuration = settings.load(None, os.environ, {})
        for address in server.cfg.address:
            if isinstance(address, tuple):  # the others are sockets of this machine
                check_reach(configuration, address[0])
        first = server.cfg.address[0]
        where = f"{first[0]}:{first[1]}" if isinstance(first, tuple) else "localhost"
        if invitation := prepare(configuration, where):
            print(invitation, flush=True)
        if not server.cfg.reload:
            import_application()
    except (SettingsError, Unavailable) as error:
        sys.exit(f"gymserve: {error}")
