"""Projects: groups of one account's experiments, numbered from 1 within the account."""

from collections.abc import Collection

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gymserve.protocol.errors import InvalidRequest, NotFound
from gymserve.store import Database
from gymserve.store.models import Account, Project
from gymserve.training.experiments.quota import Quota
from gymserve.training.plan.training_plan import SB3


class Projects:
    """The table of projects; `types` are the runners that a project may use, by name."""

    def __init__(self, database: Database, types: Collection[str], quota: Quota | None = None) -> None:
        self.database, self.types, self.quota = database, types, quota

    def create(self, account_id: int, *, title: str, project_type: str, description: str = "") -> Project:
        """Create a project.

        Raises:
            InvalidRequest: the type is unknown.
            NotFound: there is no such account.
            LimitReached: the account has too many projects.
        """
        self._check_type(project_type)
        if self.quota is not None:
            self.quota.check(account_id, Project)
        with self.database.writing() as session:
            own = Account.id == account_id
            session.execute(update(Account).where(own).values(projects_made=Account.projects_made + 1))
            number = session.scalar(select(Account.projects_made).where(own))
            if number is None:
                raise NotFound(f"there is no account {account_id}")
            project = Project(
                account_id=account_id, number=number, title=title, project_type=project_type, description=description
            )
            session.add(project)
        return project

    def _check_type(self, project_type: str) -> None:
        if project_type not in self.types and project_type.lower() != SB3:
            raise InvalidRequest(f"project_type must be one of {', '.join(self.types)}, not {project_type!r:.60}")

    def of(self, account_id: int, *, skip: int = 0, limit: int = 100) -> list[Project]:
        """Return an account's projects, sorted by number."""
        query = select(Project).where(Project.account_id == account_id).order_by(Project.number)
        with self.database.reading() as session:
            return list(session.scalars(query.offset(skip).limit(limit)))

    def of_all(self, account_ids: list[int]) -> dict[int, list[Project]]:
        """Map each account to its projects."""
        projects: dict[int, list[Project]] = {account_id: [] for account_id in account_ids}
        query = select(Project).where(Project.account_id.in_(account_ids)).order_by(Project.number)
        with self.database.reading() as session:
            for project in session.scalars(query):
                projects[project.account_id].append(project)
        return projects

    def find(self, account_id: int, number: int) -> Project:
        """Return an account's project by its number.

        Raises:
            NotFound: the account has no such project.
        """
        with self.database.reading() as session:
            return _get(session, account_id, number)

    def change(self, account_id: int, number: int, **values: str | None) -> Project:
        """Change title, project_type and description, unless they are None.

        Raises:
            InvalidRequest: the type is unknown.
            NotFound: the account has no such project.
        """
        changes = {name: value for name, value in values.items() if value is not None}
        if "project_type" in changes:
            self._check_type(changes["project_type"])
        with self.database.writing() as session:
            project = _get(session, account_id, number)
            for name, value in changes.items():
                setattr(project, name, value)
        return project

    def remove(self, account_id: int, number: int) -> None:
        """Delete a project.

        Raises:
            NotFound: the account has no such project.
        """
        with self.database.writing() as session:
            session.delete(_get(session, account_id, number))


def _get(session: Session, account_id: int, number: int) -> Project:
    project = None
    if 0 < account_id < 2**31 and 0 < number < 2**31:
        project = session.scalar(select(Project).where(Project.account_id == account_id, Project.number == number))
    if project is None:
        raise NotFound(f"there is no project {number} of account {account_id}")
    return project
