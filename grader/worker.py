"""`python -m grader.worker`: the background process that ends submissions whose agents are gone, and replays the others.

It reads the server's settings as JSON from standard input, and ends with it: whoever started it holds the other end.
"""

import json
import logging
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

from grader.competition import Competition
from grader.outbox import Outbox
from grader.submissions import Submissions
from grader.verification import NOT_REPLAYABLE, Verdict
from gymserve import errors
from gymserve.background import begin
from gymserve.environments import Catalogue
from gymserve.hosts.instances import Instances
from gymserve.recording.media import Media
from gymserve.settings import Settings
from gymserve.store import connect
from gymserve.store.models import Submission

ATTEMPTS = 3  # at a replay that ends the process
IDLE_SECONDS = 30.0
log = logging.getLogger("gymserve.grader")


def submissions_of(configuration: Settings, instances: Instances) -> tuple[Competition, Submissions]:
    """The challenges and submissions of a server."""
    data = Path(configuration.DATA).resolve()
    database = connect(configuration.DATABASE, data)
    competition = Competition(database, data, functions=configuration.SCORING_FUNCTIONS)
    outbox, media = Outbox.of(configuration, database, data), Media(data, configuration)
    return competition, Submissions(database, competition, instances, data, outbox, media)


def main() -> int:
    """Works until there has been nothing to do for a while."""
    configuration = begin()
    _, submissions = submissions_of(configuration, Instances(configuration, Catalogue.of(configuration)))
    attempts = Attempts(Path(configuration.DATA) / "verifying")
    idle_since = time.monotonic()
    while time.monotonic() < idle_since + IDLE_SECONDS:
        try:
            submissions.settle()
            row = submissions.judge.next_to_verify()
            if row is not None:
                verify(submissions, row, attempts)
            if row is not None or submissions.has_work():
                idle_since = time.monotonic()
            if row is None:
                time.sleep(0.5)
        except errors.Unavailable as error:
            log.warning("%s", error)
            time.sleep(1.0)
    return 0


def verify(submissions: Submissions, row: Submission, attempts: "Attempts") -> None:
    """Replays a submission; one that ends the process again and again, or cannot be read, is given up with the reason."""
    if attempts.begin(row.name) > ATTEMPTS:
        reason = "its replay ended the process that it ran in"
        submissions.judge.verify(row, Verdict(NOT_REPLAYABLE, reason))
    else:
        try:
            submissions.judge.verify(row)
        except errors.Unavailable:
            attempts.end()  # no fault of the replay's
            raise
        except Exception as error:
            log.exception("submission %s cannot be replayed", row.name)
            submissions.judge.verify(row, Verdict(NOT_REPLAYABLE, f"its replay raised {type(error).__name__}"))
    attempts.end()


class Attempts:
    """How often the same submission was begun, kept in a file, since the process may end in between."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def begin(self, name: str) -> int:
        """Notes one more; returns how many there were with it."""
        known: dict[str, int] = {}
        if self.file.exists():
            try:
                known = json.loads(self.file.read_text())
            except ValueError:  # the process ended while it wrote
                known = {}
        number = known.get(name, 0) + 1
        self.file.write_text(json.dumps({name: number}))
        return number

    def end(self) -> None:
        self.file.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
