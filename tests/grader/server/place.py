"""A challenge and its submissions, for tests of single steps."""

from pathlib import Path
from typing import Any

from gymserve.grader.server.competitions.competition import ChallengeRecord, Competition
from gymserve.grader.server.submissions.lifecycle import Submissions
from gymserve.grader.server.submissions.limits import SubmissionSettings
from gymserve.settings import Settings
from gymserve.store import Database
from gymserve.store.models import Submission
from tests.hosts.instance.graders import Grader

SETTINGS = Settings().pick(SubmissionSettings)
TOML = """name = "cart"
environment = "CartPole-v1"
max_episode_steps = 8
trials = { number = 2 }
scoring = { worst = 0 }
limits = { submissions = 3 }
"""


class Place:
    """A challenge and its submissions on one database."""

    def __init__(self, database: Database, grader: Grader, data: Path) -> None:
        self.database, self.grader = database, grader
        self.competition = Competition(database, data)
        self.submissions = Submissions(database, self.competition, grader.instances, data, SETTINGS)
        self.record: ChallengeRecord = self.competition.define(TOML, owner_id=None)

    def begin(self, **more: Any) -> Submission:
        return self.submissions.submit(self.record, account_id=None, entrant="a", **more)[0]

    def play(self, row: Submission, trials: int = 2) -> None:
        assert row.token is not None
        for _ in range(trials):
            self.grader.reset(row.token)
            self.grader.play(row.token)
