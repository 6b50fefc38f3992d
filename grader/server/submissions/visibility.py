"""Who may see a submission: its account and team and the challenge's organiser, and everybody once its phase is over."""

from collections.abc import Callable

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from gymserve.accounts.identity import Identity
from gymserve.grader.challenges.challenge import Phase
from gymserve.grader.server.competitions import teams
from gymserve.grader.server.competitions.competition import ChallengeRecord, Competition
from gymserve.grader.server.submissions.judging import Judge
from gymserve.store import Database
from gymserve.store.models import ACCOUNT_PREFIX, Submission


def of_account(session: Session, record: ChallengeRecord, account_id: int) -> ColumnElement[bool]:
    """The SQL condition for the submissions of an account and its team."""
    own = Submission.account_id == account_id
    return own | (Submission.entrant == teams.entrant_of(session, record, account_id, "").name)


class Visibility:
    """Decides who may see which submissions."""

    def __init__(self, database: Database, competition: Competition, judge: Judge) -> None:
        self.database, self.competition, self.judge = database, competition, judge

    def may_follow(self, record: ChallengeRecord, row: Submission, who: Identity | None) -> bool:
        """Whether `who` may see a submission at any time, even while its phase is open."""
        if record.is_overseen_by(who):
            return True
        if who is None or not who.account_id:
            return False
        with self.database.reading() as session:
            is_own = (Submission.id == row.id, of_account(session, record, who.account_id))
            return session.scalar(select(Submission.id).where(*is_own)) is not None

    def may_see(self, record: ChallengeRecord, row: Submission, who: Identity | None) -> bool:
        """Whether `who` may see a submission's page and media. They become public together with its bundle."""
        return self.may_follow(record, row, who) or self.judge.is_over(row)

    def entrants(self, record: ChallengeRecord, phase: Phase | None, who: Identity | None) -> Callable[[str], bool]:
        """A function that tells whether `who` may see the pages of an entrant's submissions in a phase."""
        if record.is_overseen_by(who) or (phase is not None and self.competition.is_shown(record, phase)):
            return lambda entrant: True
        if who is None or not who.account_id:
            return lambda entrant: False
        with self.database.reading() as session:
            team = teams.entrant_of(session, record, who.account_id, "").name
        return lambda entrant: entrant in (team, f"{ACCOUNT_PREFIX}{who.account_id}")
