"""Who may see a submission: its account and team, and the challenge's organiser; everybody, once its phase is over."""

from collections.abc import Callable

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from grader.challenges.challenge import Phase
from grader.server.competitions import teams
from grader.server.competitions.competition import Competition, Held
from grader.server.submissions.judging import Judge
from gymserve.accounts.identity import Identity
from gymserve.store import Database
from gymserve.store.models import ACCOUNT_PREFIX, Submission


def of_account(session: Session, held: Held, account_id: int) -> ColumnElement[bool]:
    """The submissions of an account and its team."""
    own = Submission.account_id == account_id
    return own | (Submission.entrant == teams.entrant_of(session, held, account_id, "").name)


class Visibility:
    """Decides who may see which submissions."""

    def __init__(self, database: Database, competition: Competition, judge: Judge) -> None:
        self.database, self.competition, self.judge = database, competition, judge

    def may_follow(self, held: Held, row: Submission, who: Identity | None) -> bool:
        """Whether `who` may see a submission at any time."""
        if held.is_overseen_by(who):
            return True
        if who is None or not who.account_id:
            return False
        with self.database.reading() as session:
            mine = (Submission.id == row.id, of_account(session, held, who.account_id))
            return session.scalar(select(Submission.id).where(*mine)) is not None

    def may_see(self, held: Held, row: Submission, who: Identity | None) -> bool:
        """Whether `who` may see a submission's page and media, which are for everybody when its bundle is."""
        return self.may_follow(held, row, who) or self.judge.is_over(row)

    def entrants(self, held: Held, phase: Phase | None, who: Identity | None) -> Callable[[str], bool]:
        """Tells whether `who` may see the pages of an entrant's submissions in a phase."""
        if held.is_overseen_by(who) or (phase is not None and self.competition.is_shown(held, phase)):
            return lambda entrant: True
        if who is None or not who.account_id:
            return lambda entrant: False
        with self.database.reading() as session:
            team = teams.entrant_of(session, held, who.account_id, "").name
        return lambda entrant: entrant in (team, f"{ACCOUNT_PREFIX}{who.account_id}")
