"""How a background process begins, works and ends: with the web worker that holds the other end of its standard input, or
when there has been nothing to do for a while."""

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

ATTEMPTS = 3  # at what ends the process that does it
AWAY_SECONDS = 1.0
log = logging.getLogger("gymserve.system.background")


def begin(at_end: Callable[[], object] = lambda: None) -> Settings:
    """The server's settings, the first line of standard input; when that input ends, so does this process.

    Args:
        at_end: called before it does.
    """
    imports.freeze()
    configuration = settings.from_json(sys.stdin.readline())
    threading.Thread(target=_end_with_standard_input, args=(at_end,), daemon=True).start()
    logs.configure(configuration)
    return configuration


def work(look: Callable[[], bool], *, idle_seconds: float = 30.0, pause: float = 0.5) -> None:
    """Calls `look` again and again, until there has been nothing to do for `idle_seconds`.

    Args:
        look: does what there is to do now; whether there was anything, or will be soon. Where it raises Unavailable, it is
            called again a little later.
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
