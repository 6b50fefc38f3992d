"""`python -m gymserve.training.scheduling.scheduler`: starts, watches and ends experiments, and loads their metrics.

It reads the server's settings as JSON from standard input, and exits when that closes. Experiments continue without it; the
next scheduler finds them by the locks in their folders.
"""

import signal
import sys
import time
from pathlib import Path

from gymserve.recording.media import Media
from gymserve.settings import Settings
from gymserve.store import connect
from gymserve.system.background import begin, work
from gymserve.training.plan import programs
from gymserve.training.scheduling.supervision import ExperimentSettings, ExperimentSupervision

TICK_SECONDS = 0.2
DRY_TICK_SECONDS = 0.05  # a request is waiting for each dry run
IDLE_SECONDS = 600.0  # keeps the imported libraries ready for the next experiment


def supervision_of(configuration: Settings) -> ExperimentSupervision:
    """Create the supervision of a server's experiments.

    Raises:
        SettingsError: RUNNERS is invalid.
    """
    data = Path(configuration.DATA).resolve()
    database = connect(configuration.DATABASE, data)
    known = programs.read(configuration.RUNNERS)
    media = Media.of(configuration, data)
    settings = configuration.pick(ExperimentSettings)
    return ExperimentSupervision(database, data / "experiments", known, media, settings)


def main() -> int:
    """Run until there has been nothing to do for a while."""
    # Experiments inherit this, so a pause signal that arrives early does not kill them.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    configuration = begin()
    supervision = supervision_of(configuration)
    work(lambda: look(supervision), idle_seconds=IDLE_SECONDS, pause=0.0)
    return 0


def look(supervision: ExperimentSupervision) -> bool:
    """Handle dry runs for one tick, then all experiments; return whether there were any."""
    has_tried, until = False, time.monotonic() + TICK_SECONDS
    while time.monotonic() < until:
        has_tried |= supervision.poll_dry_runs()
        time.sleep(DRY_TICK_SECONDS)
    return supervision.tick() or has_tried


if __name__ == "__main__":
    sys.exit(main())
