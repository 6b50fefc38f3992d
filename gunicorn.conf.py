"""Read by `gunicorn gym_http_server:app`; what is given on its command line comes first."""

import os
import sys

from gymserve import settings
from gymserve.errors import SettingsError
from gymserve.web.serving import check_reach, options

globals().update(options())


def on_starting(server):
    """Where to listen is gunicorn's to know here, so the check is made when it has settled that."""
    try:
        configuration = settings.load(None, os.environ, {})
        for address in server.cfg.address:
            if isinstance(address, tuple):  # the others are sockets of this machine
                check_reach(configuration, address[0])
    except SettingsError as error:
        sys.exit(f"gymserve: {error}")
