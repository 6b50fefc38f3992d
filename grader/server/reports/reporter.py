"""`python -m gymserve.grader.server.reports.reporter`: the background process that sends reports to a challenge server.

It reads the server's settings as JSON from standard input, and exits when its parent closes that pipe.
"""

import logging
import sys
from pathlib import Path

from gymserve.grader.server.reports.outbox import Outbox
from gymserve.protocol import errors
from gymserve.store import connect
from gymserve.system.background import begin, work

log = logging.getLogger("gymserve.grader")


def main() -> int:
    """Sends reports until nothing has been due for a while."""
    configuration = begin()
    data = Path(configuration.DATA).resolve()
    outbox = Outbox.of(configuration, connect(configuration.DATABASE, data), data)
    work(lambda: send_due(outbox))
    return 0


def send_due(outbox: Outbox) -> bool:
    """Sends all due reports, and returns whether there were any."""
    was_due = False
    while (due := outbox.next_due()) is not None:
        deliver(outbox, due)
        was_due = True
    return was_due


def deliver(outbox: Outbox, due: int) -> None:
    """Sends a report. A report that raises an error is tried again later, so it does not block others.

    Raises:
        Unavailable: the database does not answer.
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
