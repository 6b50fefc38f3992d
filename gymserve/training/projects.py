"""Projects: groups of an account's experiments. Their numbers count from 1 within their account."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gymserve.errors import InvalidRequest, NotFound
from gymserve.store import Database
from gymserve.store.models import Account, Project

LENGTHS = {"title": 200, "description": 10_000, "project_type": 50}


class Projects:
    def __init__(self, database: Database) -> None:
        self.database = database

    def create(self, account_id: int, *, title: Any, description: Any, project_type: Any) -> Project:
        """Makes a project.

        Raises:
            InvalidRequest: a value is no good.
            NotFound: there is no such account.
        """
        given = checked({"title": title, "description": description, "project_type": project_type})
        with self.database.writing() as session:
            mine = Account.id == account_id
            session.execute(update(Account).where(mine).values(projects_made=Account.projects_made + 1))
            number = session.scalar(select(Account.projects_made).where(mine))
            if number is None:
                raise NotFound(f"there is no account {account_id}")
            project = Project(account_id=account_id, number=number, **given)
            session.add(project)
        return project

    def of(self, account_id: int, *, skip: int = 0, limit: int = 100) -> list[Project]:
        """An account's projects, by their numbers."""
        query = select(Project).where(Project.account_id == account_id).order_by(Project.number)
        with self.database.reading() as session:
            return list(session.scalars(query.offset(skip).limit(limit)))

    def of_all(self, account_ids: list[int]) -> dict[int, list[Project]]:
        """Account → its projects."""
        found: dict[int, list[Project]] = {account_id: [] for account_id in account_ids}
        query = select(Project).where(Project.account_id.in_(account_ids)).order_by(Project.number)
        with self.database.reading() as session:
            for project in session.scalars(query):
                found[project.account_id].append(project)
        return found

    def find(self, account_id: int, number: int) -> Project:
        """Raises: NotFound: the account has no such project."""
        with self.database.reading() as session:
            return _get(session, account_id, number)

    def change(self, account_id: int, number: int, **values: Any) -> Project:
        """Changes what is not None.

        Raises:
            InvalidRequest: a value is no good.
            NotFound: the account has no such project.
        """
        given = checked({name: value for name, value in values.items() if value is not None})
        with self.database.writing() as session:
            project = _get(session, account_id, number)
            for name, value in given.items():
                setattr(project, name, value)
        return project

    def remove(self, account_id: int, number: int) -> None:
        """Raises: NotFound: the account has no such project."""
        with self.database.writing() as session:
            session.delete(_get(session, account_id, number))


def checked(values: dict[str, Any]) -> dict[str, str]:
    """Values of a project.

    Raises:
        InvalidRequest: one is no text, or too long.
    """
    return checked_text(values, LENGTHS, needed=("title", "project_type"))


def checked_text(values: dict[str, Any], lengths: Mapping[str, int], *, needed: tuple[str, ...]) -> dict[str, str]:
    """Texts of at most `lengths` characters; those that are `needed` are not empty.

    Raises:
        InvalidRequest: one is no such text.
    """
    for name, value in values.items():
        shortest = 1 if name in needed else 0
        if not isinstance(value, str) or not shortest <= len(value) <= lengths[name] or "\0" in value:
            raise InvalidRequest(f"{name} must be a string of {shortest} to {lengths[name]} characters")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidRequest(f"{name} holds half of a surrogate pair") from None
    return values


def _get(session: Session, account_id: int, number: int) -> Project:
    project = None
    if 0 < account_id < 2**31 and 0 < number < 2**31:
        project = session.scalar(select(Project).where(Project.account_id == account_id, Project.number == number))
    if project is None:
        raise NotFound(f"there is no project {number} of account {account_id}")
    return project
