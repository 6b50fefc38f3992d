"""Teams: accounts that submit to a challenge as one entrant and share its limits."""

import hashlib
import secrets
import unicodedata
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, delete, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gymserve.grader.server.competitions.competition import ChallengeRecord, lock
from gymserve.protocol import errors
from gymserve.store import Database
from gymserve.store.models import ACCOUNT_PREFIX, TEAM_PREFIX, Account, Submission, Team, TeamMember


class Entrant(NamedTuple):
    """An account, a team, or, on a server without accounts, a name.

    Args:
        name: the permanent name that its submissions are stored under, see `grader/server/competitions/names.py`.
        accounts: the account, or the team's members.
    """

    name: str
    accounts: tuple[int, ...] = ()

    def owns_submission(self) -> ColumnElement[bool]:
        """The SQL condition that a submission is the entrant's. It includes those that members made on their own."""
        return or_(Submission.entrant == self.name, Submission.account_id.in_(self.accounts))


class TeamView(NamedTuple):
    """A team as its members see it. `fixed` means that it has submitted, so that members cannot leave."""

    name: str
    entrant: str
    members: list[str]
    fixed: bool


def entrant_of(session: Session, record: ChallengeRecord, account_id: int | None, name: str) -> Entrant:
    """The entrant for an account's submissions to a challenge; without an account, the entrant called `name`."""
    team = _team(session, record, account_id)
    if team is None:
        return Entrant(name) if account_id is None else Entrant(f"{ACCOUNT_PREFIX}{account_id}", (account_id,))
    return Entrant(TEAM_PREFIX + team.name, tuple(session.scalars(_members(team, TeamMember.account_id))))


class Teams:
    """Creates, changes and finds teams."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def of(self, record: ChallengeRecord, account_id: int | None) -> TeamView:
        """The team of an account.

        Raises:
            NotFound: the account is in no team.
        """
        with self.database.reading() as session:
            return _view(session, record, _own_team(session, record, account_id))

    def create(self, record: ChallengeRecord, account_id: int | None, name: str) -> TeamView:
        """Creates a team with the account as its first member.

        Raises:
            Conflict: the challenge has no teams, the account is in one, or the name is taken.
            InvalidRequest: the name is invalid.
        """
        if not 0 < len(name.strip()) <= 60 or not name.isprintable():
            raise errors.InvalidRequest("name must be a string of 1 to 60 printable characters")
        with self.database.writing() as session:
            self._check(session, record, account_id)
            name = name.strip()
            team = Team(challenge_id=record.id, name=name, name_key=unicodedata.normalize("NFKC", name).casefold())
            same = select(Team.id).where(Team.challenge_id == record.id, Team.name_key == team.name_key)
            if session.scalar(same) is not None:
                raise errors.Conflict(f"there is already a team {name}: choose another name")
            session.add(team)
            session.flush()
            self._add(session, team, account_id)
            return _view(session, record, team)

    def invite(self, record: ChallengeRecord, account_id: int | None) -> str:
        """A new code for joining the account's team. It replaces earlier codes.

        Raises:
            NotFound: the account is in no team.
        """
        code = secrets.token_urlsafe(16)
        with self.database.writing() as session:
            _own_team(session, record, account_id).code_digest = _digest(code)
        return code

    def join(self, record: ChallengeRecord, account_id: int | None, code: str) -> TeamView:
        """Adds the account to the team with this code.

        Raises:
            NotFound: no team has the code.
            Conflict: the challenge has no teams, the account is in one, or the team is full.
        """
        with self.database.writing() as session:
            self._check(session, record, account_id)
            has_code = (Team.challenge_id == record.id, Team.code_digest == _digest(code))
            team = session.scalar(select(Team).where(*has_code))
            if team is None:
                raise errors.NotFound("no team of this challenge has this code: ask a member for a new one")
            most = record.challenge.teams.most_members
            if (session.scalar(_members(team, func.count())) or 0) >= most:
                raise errors.Conflict(f"the team is full: it has {most} members")
            self._add(session, team, account_id)
            return _view(session, record, team)

    def leave(self, record: ChallengeRecord, account_id: int | None) -> None:
        """Removes the account from its team. The team is deleted with its last member.

        Raises:
            NotFound: the account is in no team.
            Conflict: the team has submitted.
        """
        with self.database.writing() as session:
            lock(session, record.id)
            team = _own_team(session, record, account_id)
            if _view(session, record, team).fixed:
                raise errors.Conflict("the team has submitted: its members are fixed")
            session.execute(delete(TeamMember).where(*_is_member(record, account_id)))
            if not session.scalar(_members(team, func.count())):
                session.delete(team)

    def _check(self, session: Session, record: ChallengeRecord, account_id: int | None) -> None:
        """Checks that the account may enter a team.

        Raises:
            Conflict: it may not.
        """
        if not record.challenge.teams.allowed:
            raise errors.Conflict("this challenge has no teams")
        if account_id is None:
            raise errors.Conflict("teams need accounts, and this server has none")
        lock(session, record.id)  # so that the entrant of a submission being charged stays the same
        if _team(session, record, account_id) is not None:
            raise errors.Conflict("you are already in a team of this challenge: leave it first")

    @staticmethod
    def _add(session: Session, team: Team, account_id: int | None) -> None:
        session.add(TeamMember(team_id=team.id, challenge_id=team.challenge_id, account_id=account_id))
        try:
            session.flush()
        except IntegrityError as error:
            raise errors.Conflict("you are already in a team of this challenge: leave it first") from error


def _team(session: Session, record: ChallengeRecord, account_id: int | None) -> Team | None:
    if account_id is None or not record.challenge.teams.allowed:
        return None
    query = select(Team).join(TeamMember, TeamMember.team_id == Team.id)
    return session.scalar(query.where(*_is_member(record, account_id)))


def _own_team(session: Session, record: ChallengeRecord, account_id: int | None) -> Team:
    team = _team(session, record, account_id)
    if team is None:
        raise errors.NotFound("you are in no team of this challenge")
    return team


def _view(session: Session, record: ChallengeRecord, team: Team) -> TeamView:
    members = _members(team, Account).join(Account, Account.id == TeamMember.account_id)
    entrant = TEAM_PREFIX + team.name
    submitted = select(Submission.id).where(Submission.challenge_id == record.id, Submission.entrant == entrant)
    fixed = session.scalar(submitted.limit(1)) is not None
    return TeamView(team.name, entrant, [each.display_name for each in session.scalars(members)], fixed)


def _members(team: Team, what: Any) -> Select[Any]:  # Any: a column, a table or a count
    return select(what).select_from(TeamMember).where(TeamMember.team_id == team.id)


def _is_member(record: ChallengeRecord, account_id: int | None) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The SQL conditions that a membership is the account's in this challenge."""
    return TeamMember.challenge_id == record.id, TeamMember.account_id == account_id


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
