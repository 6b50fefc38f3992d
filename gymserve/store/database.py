"""The database: SQLite by default, PostgreSQL and MariaDB/MySQL by URL. The same models and tests for all three."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, Delete, Engine, Update, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from gymserve.protocol.errors import DatabaseFull, SettingsError, Unavailable
from gymserve.system.locks import locked

PATIENCE_SECONDS = 5  # for a connection, for a lock, for a place in the pool
SILENT_SECONDS = 2  # whoever fails to reach the database for longer spares the others the wait
RETRY_SECONDS = 1
AWAY = "the database does not answer: try again"
LINE_SECONDS = 20  # in line to write: longer, since it moves
DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}


class Database:
    """Connections and transactions. May be shared by threads, not by processes that are forked from this one.

    Args:
        line: a folder that who writes holds locked, so that others wait in line; None: the database sees to that.
    """

    def __init__(self, engine: Engine, line: Path | None = None) -> None:
        self.engine, self.line = engine, line
        self._silent, self._closed = threading.Event(), threading.Event()
        self._writer = threading.Lock()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for reading.

        Raises:
            Unavailable: the database cannot be reached, or is locked for too long.
        """
        with self._session(writes=False) as session:
            yield session

    @contextlib.contextmanager
    def writing(self) -> Iterator[Session]:
        """A session whose changes are all kept at the end of the block, or none of them where it raises.

        Raises:
            Unavailable: the database cannot be reached, or is locked for too long; nothing was kept.
        """
        with self._turn(), self._session(writes=True) as session:
            yield session
            session.commit()

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Waits in line for SQLite's one place for a writer.

        SQLite itself has no line: who waits asks again each tenth of a second, who comes later asks at once, and so a few
        may find it locked for seconds, though nobody has it for long. Who waits here holds no connection that readers need.
        """
        if self.line is None:
            yield
            return
        # The process' threads among themselves first, since waiting for a file's lock has no limit.
        if not self._writer.acquire(timeout=LINE_SECONDS):
            raise Unavailable("too many others are writing to the database: try again")
        try:
            with locked(self.line):
                yield
        finally:
            self._writer.release()

    @contextlib.contextmanager
    def _session(self, *, writes: bool) -> Iterator[Session]:
        if self._silent.is_set():
            raise Unavailable(AWAY)
        began, connected = time.monotonic(), False
        try:
            with translated(), Session(self.engine, expire_on_commit=False) as session:
                session.connection(execution_options={"writes": writes})
                connected = True
                yield session
        except Unavailable as error:
            cause = error.__cause__
            lost = isinstance(cause, DBAPIError) and (cause.connection_invalidated or not connected)
            if lost and self.line is None and time.monotonic() - began > SILENT_SECONDS:
                self._wait_apart()
            raise

    def _wait_apart(self) -> None:
        """While the database is silent, one thread waits for it, and all others are refused at once."""
        if not self._silent.is_set():
            self._silent.set()
            threading.Thread(target=self._until_back, daemon=True).start()

    def _until_back(self) -> None:
        while not self._closed.wait(RETRY_SECONDS):
            with contextlib.suppress(SQLAlchemyError), self.engine.connect() as connection:
                connection.execute(text("SELECT 1"))
                break
        self._silent.clear()

    def close(self) -> None:
        self._closed.set()
        self.engine.dispose()


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turns a database that is away into an error of ours. What the program did wrong stays what it is."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        if "disk is full" in str(error) or "No space left" in str(error):  # as SQLite, PostgreSQL and MariaDB say
            raise DatabaseFull("the database's disk is full: nothing was kept") from error
        if isinstance(error, OperationalError) and isinstance(error.orig, sqlite3.Error):
            raise Unavailable(f"the database cannot be used: {error.orig}") from error  # a file is never away
        raise Unavailable(AWAY) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable("the database connection was lost: try again") from error
        raise


def connect(url: str | URL, data: Path) -> Database:
    """The database at `url`; "" is the file `gymserve.db` in the data directory.

    Raises:
        SettingsError: there is no such kind of database, or its driver is not installed.
    """
    try:
        address = make_url(url or at_file(data / "gymserve.db"))
        kind = address.drivername.partition("+")[0]
        address = address.set(drivername=DRIVERS[kind])
        engine = create_engine(address, **_options(kind, address))
    except (ArgumentError, KeyError, NoSuchModuleError):
        raise SettingsError(
            "DATABASE must be a URL such as postgresql://user:password@host/name, mariadb://… or sqlite:////path"
        ) from None
    except ImportError as error:
        raise SettingsError(f"DATABASE: {error}; install it with pip install 'gymserve[{kind}]'") from error
    if kind == "sqlite":
        if not url:
            (data / "gymserve.db").touch(mode=0o600)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    elif address.drivername == DRIVERS["postgresql"]:
        from gymserve.store import postgresql  # here, since its driver is an extra

        postgresql.limit(engine, ping_seconds=PATIENCE_SECONDS, statement_seconds=4 * PATIENCE_SECONDS + 1)
    return Database(engine, data if kind == "sqlite" else None)


def at_file(file: Path) -> URL:
    """The URL of an SQLite file, whatever its path: in a URL's text, a % or a ? has a meaning."""
    return URL.create("sqlite", database=str(file))


def _options(kind: str, address: URL) -> dict[str, Any]:
    if kind == "sqlite":
        return {"connect_args": {"timeout": PATIENCE_SECONDS}}
    waiting: dict[str, Any] = {"connect_timeout": PATIENCE_SECONDS}
    if kind in ("mysql", "mariadb"):
        waiting |= {"read_timeout": 4 * PATIENCE_SECONDS, "write_timeout": 4 * PATIENCE_SECONDS, "charset": "utf8mb4"}
    else:
        waiting["options"] = f"-c lock_timeout={PATIENCE_SECONDS}s -c statement_timeout={4 * PATIENCE_SECONDS}s"
    return {"pool_pre_ping": True, "pool_recycle": 1800, "pool_timeout": PATIENCE_SECONDS, "connect_args": waiting}


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # the driver's own transactions begin too late
    # SQLite's own knows no letters but A to Z.
    connection.create_function("lower", 1, lambda text: text and text.lower(), deterministic=True)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A reader that becomes a writer half-way may be refused at once, whatever the time-out.
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def rows_changed(session: Session, statement: Update | Delete) -> int:
    """Executes an UPDATE or DELETE; how many rows it has changed."""
    return cast("CursorResult[Any]", session.execute(statement)).rowcount
