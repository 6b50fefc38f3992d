"""`python -m grader.reporter`: the background process that sends reports to a challenge server.

It reads the server's settings as JSON from standard input, and ends with it: whoever started it holds the other end.
"""

import logging
import sys
import time
from pathlib import Path

from grader.outbox import Outbox
from gymserve import errors
from gymserve.background import begin
from gymserve.store import connect

IDLE_SECONDS = 30.0
log = logging.getLogger("gymserve.grader")


def main() -> int:
    """Works until nothing was due for a while."""
    configuration = begin()
    data = Path(configuration.DATA).resolve()
    outbox = Outbox.of(configuration, connect(configuration.DATABASE, data), data)
    idle_since = time.monotonic()
    while time.monotonic() < idle_since + IDLE_SECONDS:
        try:
            due = outbox.next_due()
            if due is None:
                time.sleep(0.5)
                continue
            idle_since = time.monotonic()
            deliver(outbox, due)
        except errors.Unavailable as error:
            log.warning("%s", error)
            time.sleep(1.0)
    return 0


def deliver(outbox: Outbox, due: int) -> None:
    """Sends a report. One that cannot even be tried waits as one that was lost on its way, and holds up no other.

    Raises:
        Unavailable: the database is away.
    """
    try:
        report = outbox.send(due)
    except errors.Unavailable:
        raise
    except Exception:
        log.exception("report %d cannot be sent", due)
        return
    if report.reason:
        log.warning("report %d of submission %d: %s", report.number, report.submission_id, report.reason)


if __name__ == "__main__":
    sys.exit(main())
