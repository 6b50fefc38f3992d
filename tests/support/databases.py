"""Databases for tests, of each kind: empty ones, and copies of a migrated one, which take a tenth of the time."""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy.exc import OperationalError

from gymserve.store import connect, schema

KINDS = ("sqlite", "postgresql", "mariadb")


def server_url(kind: str) -> str:
    """The URL of the server on which tests create databases."""
    urls = {
        "postgresql": os.environ.get("TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/postgres"),
        "mariadb": os.environ.get("TEST_MARIADB", "mariadb://root@127.0.0.1:3306/test"),
    }
    return urls[kind]


@contextlib.contextmanager
def empty(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a new, empty database, dropped at the end; SQLite's is a file in the folder."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'test.db'}"
    else:
        with _create(kind, folder) as url:
            yield url


@contextlib.contextmanager
def _create(kind: str, folder: Path, template: str = "") -> Iterator[str]:
    url, name = server_url(kind), f"gymserve_{os.getpid()}_{time.monotonic_ns()}"
    server = connect(url, folder)
    engine = server.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
    try:
        yield url.rpartition("/")[0] + "/" + name
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}" + (" WITH (FORCE)" if kind == "postgresql" else ""))
        server.close()


def _migrate(url: str, folder: Path) -> None:
    with contextlib.closing(connect(url, folder)) as database:
        schema.upgrade(database)


class Migrated:
    """Migrated databases for one test process; each kind is migrated when it is first needed.

    SQLite's file and PostgreSQL's template are copied. MariaDB has no templates: its tests share one database in sequence.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._templates = contextlib.ExitStack()
        self._urls: dict[str, str] = {}

    def close(self) -> None:
        """Drops the templates."""
        self._templates.close()

    @contextlib.contextmanager
    def new(self, kind: str, folder: Path) -> Iterator[str]:
        """The URL of a migrated database without rows, for one test."""
        if kind == "sqlite":
            template = self._template(kind, lambda: empty(kind, self.folder))
            shutil.copy(template.removeprefix("sqlite:///"), folder / "test.db")
            yield f"sqlite:///{folder / 'test.db'}"
        elif kind == "postgresql":
            template = self._template(kind, lambda: _create(kind, self.folder))
            with _create(kind, folder, template.rpartition("/")[2]) as url:
                yield url
        else:
            yield (url := self._template(kind, lambda: _create(kind, self.folder)))
            if not _truncate(url, self.folder):
                del self._urls[kind]  # the next test gets a new one

    def _template(self, kind: str, made: Callable[[], contextlib.AbstractContextManager[str]]) -> str:
        if kind not in self._urls:
            url = self._templates.enter_context(made())
            _migrate(url, self.folder)
            self._urls[kind] = url
        return self._urls[kind]


def _truncate(url: str, folder: Path) -> bool:
    """Deletes all rows of the MariaDB database, so that ids begin at 1; returns whether that was possible."""
    with contextlib.closing(connect(url, folder)) as database:
        if schema.current(database) != schema.newest():
            return False  # a test has migrated it to another version
        with database.engine.connect() as connection:
            connection.exec_driver_sql("SET lock_wait_timeout = 5, foreign_key_checks = 0")
            used = connection.exec_driver_sql(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND auto_increment > 1"
            )
            try:
                for table in used.scalars().all():
                    connection.exec_driver_sql(f"TRUNCATE {table}")
            except OperationalError:  # a connection that the test has left open holds a lock
                return False
    return True
