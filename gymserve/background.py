"""How a background process begins and ends: with the web worker that holds the other end of its standard input."""

import os
import sys
import threading
from collections.abc import Callable

from gymserve import logs, settings
from gymserve.settings import Settings


def begin(at_end: Callable[[], object] = lambda: None) -> Settings:
    """The server's settings, the first line of standard input; when that input ends, so does this process.

    Args:
        at_end: called before it does.
    """
    configuration = settings.from_json(sys.stdin.readline())
    threading.Thread(target=_end_with_standard_input, args=(at_end,), daemon=True).start()
    logs.configure(configuration)
    return configuration


def _end_with_standard_input(at_end: Callable[[], object]) -> None:
    sys.stdin.read()
    at_end()
    os._exit(0)
