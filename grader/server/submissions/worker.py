"""`python -m gymserve.grader.server.submissions.worker`: a background process.

It ends abandoned submissions and replays others.

It reads the server's settings as JSON from standard input, and exits when its parent closes that pipe.
"""

import logging
import signal
import sys
from pathlib import Path

from gymserve.grader.challenges.states import VerdictState
from gymserve.grader.proofs.verification import Verdict
from gymserve.grader.server.competitions.competition import Competition
from gymserve.grader.server.reports.outbox import Outbox
from gymserve.grader.server.submissions.lifecycle import Submissions
from gymserve.grader.server.submissions.limits import SubmissionSettings
from gymserve.grader.server.submissions.settling import settle
from gymserve.hosts import child_processes
from gymserve.hosts.pool.instances import Instances
from gymserve.protocol import errors
from gymserve.recording.media import Media
from gymserve.settings import Settings
from gymserve.store import connect
from gymserve.store.models import Submission
from gymserve.system.background import begin, work

log = logging.getLogger("gymserve.grader")


def submissions_of(configuration: Settings) -> Submissions:
    """The submissions for a server's settings."""
    instances, data = Instances.of(configuration), Path(configuration.DATA).resolve()
    database = connect(configuration.DATABASE, data)
    competition = Competition(database, data, functions=configuration.SCORING_FUNCTIONS)
    outbox, media = Outbox.of(configuration, database, data), Media.of(configuration, data)
    settings = configuration.pick(SubmissionSettings)
    return Submissions(database, competition, instances, data, settings, outbox, media)


def main() -> int:
    """Ends and verifies submissions until there has been nothing to do for a while."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # so that a KeyboardInterrupt can only be the environment's own
    child_processes.become_subreaper()
    configuration = begin(at_end=child_processes.kill_all)
    submissions = submissions_of(configuration)
    work(lambda: process(submissions))
    child_processes.kill_all()
    return 0


def process(submissions: Submissions) -> bool:
    """Ends and verifies all due submissions. Returns whether it verified any, or whether any is unsettled."""
    settle(submissions)
    has_verified = False
    while (row := submissions.judge.next_to_verify()) is not None:
        verify(submissions, row)
        settle(submissions)
        has_verified = True
    return has_verified or submissions.has_work()


def verify(submissions: Submissions, row: Submission) -> None:
    """Replays a submission. If that raises an error, the verdict is "not replayable" with the error's type."""
    try:
        submissions.judge.verify(row)
    except errors.Unavailable:
        raise
    except Exception as error:
        log.exception("submission %s cannot be replayed", row.name)
        submissions.judge.verify(row, Verdict(VerdictState.NOT_REPLAYABLE, f"its replay raised {type(error).__name__}"))


if __name__ == "__main__":
    sys.exit(main())
