"""`python -m gymserve.training.scheduler`: starts experiments, watches and ends them, and reads their metrics.

It reads the server's settings as JSON from standard input, and ends with it. Experiments go on without it; the next one finds
them by the locks in their folders.
"""

import logging
import signal
import sys
import time
from pathlib import Path

from gymserve import errors
from gymserve.background import begin
from gymserve.recording.media import Media
from gymserve.settings import Settings
from gymserve.store import connect
from gymserve.training.runners import programs
from gymserve.training.supervision import Supervision

TICK_SECONDS = 0.2
IDLE_SECONDS = 30.0
log = logging.getLogger("gymserve.training")


def supervision_of(configuration: Settings) -> Supervision:
    """What watches the experiments of a server.

    Raises:
        SettingsError: RUNNERS is no good.
    """
    data = Path(configuration.DATA).resolve()
    database = connect(configuration.DATABASE, data)
    known = programs.read(configuration.RUNNERS)
    return Supervision(database, data / "experiments", configuration, known, Media(data, configuration))


def main() -> int:
    """Works until there has been nothing to do for a while."""
    # Experiments inherit this, so that a wish to pause that comes too early does not end them.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    configuration = begin()
    supervision = supervision_of(configuration)
    busy = time.monotonic()
    while time.monotonic() < busy + IDLE_SECONDS:
        try:
            if supervision.tick():
                busy = time.monotonic()
        except errors.Unavailable as error:
            log.warning("%s", error)
            time.sleep(1.0)
        time.sleep(TICK_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
