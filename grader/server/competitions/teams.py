"""Teams: accounts that submit to a challenge as one entrant, and share its limits."""

import hashlib
import secrets
import unicodedata
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from grader.server.competitions.competition import Held, lock
from gymserve.protocol import errors
from gymserve.store import Database
from gymserve.store.models import ACCOUNT_PREFIX, TEAM_PREFIX, Account, Submission, Team, TeamMember


class Entrant(NamedTuple):
    """Who submits: an account, a team, or, on a server without accounts, a name.

    Args:
        name: what its submissions are kept under, see `grader/server/competitions/names.py`.
        accounts: those behind it.
    """

    name: str
    accounts: tuple[int, ...] = ()

    def made(self) -> ColumnElement[bool]:
        """That a submission is the entrant's; those that members made by themselves are too."""
        return or_(Submission.entrant == self.name, Submission.account_id.in_(self.accounts))


class Told(NamedTuple):
    """A team as its members see it. `fixed`: it has submitted, so nobody leaves it any more."""

    name: str
    entrant: str
    members: list[str]
    fixed: bool


def entrant_of(session: Session, held: Held, account_id: int | None, name: str) -> Entrant:
    """As whom an account submits to a challenge; `name`: what who is no account is called."""
    team = _team(session, held, account_id)
    if team is None:
        return Entrant(name) if account_id is None else Entrant(f"{ACCOUNT_PREFIX}{account_id}", (account_id,))
    return Entrant(TEAM_PREFIX + team.name, tuple(session.scalars(_members(team, TeamMember.account_id))))


class Teams:
    def __init__(self, database: Database) -> None:
        self.database = database

    def of(self, held: Held, account_id: int | None) -> Told:
        """The team of an account.

        Raises:
            NotFound: it has none.
        """
        with self.database.reading() as session:
            return _told(session, held, _needed(session, held, account_id))

    def create(self, held: Held, account_id: int | None, name: str) -> Told:
        """Makes a team, with the account as its first member.

        Raises:
            Conflict: the challenge has no teams, the account is in one, or the name is taken.
            InvalidRequest: it is no name.
        """
        if not 0 < len(name.strip()) <= 60 or not name.isprintable():
            raise errors.InvalidRequest("name must be a string of 1 to 60 printable characters")
        with self.database.writing() as session:
            self._check(session, held, account_id)
            name = name.strip()
            team = Team(challenge_id=held.id, name=name, name_key=unicodedata.normalize("NFKC", name).casefold())
            same = select(Team.id).where(Team.challenge_id == held.id, Team.name_key == team.name_key)
            if session.scalar(same) is not None:
                raise errors.Conflict(f"there is a team {name} already: choose another name")
            session.add(team)
            session.flush()
            self._add(session, team, account_id)
            return _told(session, held, team)

    def invite(self, held: Held, account_id: int | None) -> str:
        """A new code with which others join the account's team; codes before it are void.

        Raises:
            NotFound: it has none.
        """
        code = secrets.token_urlsafe(16)
        with self.database.writing() as session:
            _needed(session, held, account_id).code_digest = _digest(code)
        return code

    def join(self, held: Held, account_id: int | None, code: str) -> Told:
        """Makes the account a member of the team with this code.

        Raises:
            NotFound: no team has the code.
            Conflict: the challenge has no teams, the account is in one, or the team is full.
        """
        with self.database.writing() as session:
            self._check(session, held, account_id)
            mine = (Team.challenge_id == held.id, Team.code_digest == _digest(code))
            team = session.scalar(select(Team).where(*mine))
            if team is None:
                raise errors.NotFound("no team of this challenge has this code: ask a member for a new one")
            most = held.challenge.teams.most_members
            if (session.scalar(_members(team, func.count())) or 0) >= most:
                raise errors.Conflict(f"the team has {most} members, and no more are allowed")
            self._add(session, team, account_id)
            return _told(session, held, team)

    def leave(self, held: Held, account_id: int | None) -> None:
        """Takes the account out of its team; one without members is no more.

        Raises:
            NotFound: it has none.
            Conflict: the team has submitted.
        """
        with self.database.writing() as session:
            lock(session, held.id)
            team = _needed(session, held, account_id)
            if _told(session, held, team).fixed:
                raise errors.Conflict("the team has submitted: its members are fixed")
            session.execute(_of_account(delete(TeamMember), held, account_id))
            if not session.scalar(_members(team, func.count())):
                session.delete(team)

    def _check(self, session: Session, held: Held, account_id: int | None) -> None:
        """Raises Conflict where the account cannot get into a team."""
        if not held.challenge.teams.allowed:
            raise errors.Conflict("this challenge is without teams")
        if account_id is None:
            raise errors.Conflict("teams are of accounts, and this server has none")
        lock(session, held.id)  # a submission that is being charged knows its entrant
        if _team(session, held, account_id) is not None:
            raise errors.Conflict("you are in a team of this challenge already: leave it first")

    @staticmethod
    def _add(session: Session, team: Team, account_id: int | None) -> None:
        session.add(TeamMember(team_id=team.id, challenge_id=team.challenge_id, account_id=account_id))
        try:
            session.flush()
        except IntegrityError as error:
            raise errors.Conflict("you are in a team of this challenge already: leave it first") from error


def _team(session: Session, held: Held, account_id: int | None) -> Team | None:
    if account_id is None or not held.challenge.teams.allowed:
        return None
    return session.scalar(_of_account(select(Team).join(TeamMember, TeamMember.team_id == Team.id), held, account_id))


def _needed(session: Session, held: Held, account_id: int | None) -> Team:
    team = _team(session, held, account_id)
    if team is None:
        raise errors.NotFound("there is no team of yours in this challenge")
    return team


def _told(session: Session, held: Held, team: Team) -> Told:
    members = _members(team, Account).join(Account, Account.id == TeamMember.account_id)
    entrant = TEAM_PREFIX + team.name
    submitted = select(Submission.id).where(Submission.challenge_id == held.id, Submission.entrant == entrant)
    fixed = session.scalar(submitted.limit(1)) is not None
    return Told(team.name, entrant, [each.display_name for each in session.scalars(members)], fixed)


def _members(team: Team, what: Any) -> Any:
    return select(what).select_from(TeamMember).where(TeamMember.team_id == team.id)


def _of_account(query: Any, held: Held, account_id: int | None) -> Any:
    return query.where(TeamMember.challenge_id == held.id, TeamMember.account_id == account_id)


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
