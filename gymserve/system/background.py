"""The main loop of a background process.

It ends when the web worker that started it ends, which closes its standard input, or when there has been no work for a while.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable

from gymserve import settings
from gymserve.protocol.errors import Unavailable
from gymserve.settings import Settings
from gymserve.system import imports, logs

ATTEMPTS = 3  # at work that ends the process
AWAY_SECONDS = 1.0  # before another look after Unavailable
log = logging.getLogger("gymserve.system.background")


def begin(at_end: Callable[[], object] = lambda: None) -> Settings:
    """Reads the server's settings from the first line of standard input; when standard input ends, this process exits.

    Args:
        at_end: called before this process exits.
    """
    imports.freeze()
    configuration = settings.from_json(sys.stdin.readline())
    threading.Thread(target=_end_with_standard_input, args=(at_end,), daemon=True).start()
    logs.configure(configuration.pick(logs.LogSettings))
    return configuration


def work(look: Callable[[], bool], *, idle_seconds: float = 30.0, pause: float = 0.5) -> None:
    """Calls `look` repeatedly, until there has been no work for `idle_seconds`.

    Args:
        look: does the work that there is; returns whether there was any, or will be soon. After Unavailable, it is called
            again a little later.
        pause: seconds between two calls.
    """
    busy = time.monotonic()
    while time.monotonic() < busy + idle_seconds:
        try:
            if look():
                busy = time.monotonic()
            time.sleep(pause)
        except Unavailable as error:
            log.warning("%s", error)
            time.sleep(AWAY_SECONDS)


def _end_with_standard_input(at_end: Callable[[], object]) -> None:
    sys.stdin.read()
    at_end()
    os._exit(0)
