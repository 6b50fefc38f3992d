"""Connections and transactions: SQLite by default, PostgreSQL or MariaDB/MySQL by URL."""

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

WAIT_SECONDS = 5  # for a connection, a lock or a place in the pool
UNRESPONSIVE_SECONDS = 2  # a failure after longer than this makes other threads fail at once
RETRY_SECONDS = 1
UNAVAILABLE = "the database does not answer: try again"
QUEUE_SECONDS = 20  # in the queue of writers, which is longer because the queue moves
DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}


class Database:
    """Connections and transactions. Threads may share one; forked processes must not.

    Args:
        write_lock: a folder that a writer locks, so that writers queue; None if the database queues them itself.
    """

    def __init__(self, engine: Engine, write_lock: Path | None = None) -> None:
        self.engine, self.write_lock = engine, write_lock
        self._unresponsive, self._closed = threading.Event(), threading.Event()
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
        """A session that is committed at the end of the block, or rolled back if the block raises.

        Raises:
            Unavailable: the database cannot be reached, or is locked for too long. Nothing was committed.
        """
        with self._write_turn(), self._session(writes=True) as session:
            yield session
            session.commit()

    @contextlib.contextmanager
    def _write_turn(self) -> Iterator[None]:
        """Queues SQLite's writers, of which only one at a time may run.

        SQLite does not queue them: a waiting writer polls every 100 ms, so newcomers can overtake it and it may starve
        although nobody holds the lock for long. Waiting here takes no connection that readers need.
        """
        if self.write_lock is None:
            yield
            return
        # Queue this process's threads first, since waiting for a file lock has no time limit.
        if not self._writer.acquire(timeout=QUEUE_SECONDS):
            raise Unavailable("too many others are writing to the database: try again")
        try:
            with locked(self.write_lock):
                yield
        finally:
            self._writer.release()

    @contextlib.contextmanager
    def _session(self, *, writes: bool) -> Iterator[Session]:
        if self._unresponsive.is_set():
            raise Unavailable(UNAVAILABLE)
        began, connected = time.monotonic(), False
        try:
            with translate_errors(), Session(self.engine, expire_on_commit=False) as session:
                session.connection(execution_options={"writes": writes})
                connected = True
                yield session
        except Unavailable as error:
            cause = error.__cause__
            lost = isinstance(cause, DBAPIError) and (cause.connection_invalidated or not connected)
            if lost and self.write_lock is None and time.monotonic() - began > UNRESPONSIVE_SECONDS:
                self._fail_fast()
            raise

    def _fail_fast(self) -> None:
        """Makes all other threads fail at once while one thread waits for the database."""
        if not self._unresponsive.is_set():
            self._unresponsive.set()
            threading.Thread(target=self._wait_until_back, daemon=True).start()

    def _wait_until_back(self) -> None:
        while not self._closed.wait(RETRY_SECONDS):
            with contextlib.suppress(SQLAlchemyError), self.engine.connect() as connection:
                connection.execute(text("SELECT 1"))
                break
        self._unresponsive.clear()

    def close(self) -> None:
        """Closes all connections."""
        self._closed.set()
        self.engine.dispose()


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Turns failures to reach the database into `Unavailable`. Programming errors pass unchanged."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        if "disk is full" in str(error) or "No space left" in str(error):  # of SQLite, PostgreSQL and MariaDB
            raise DatabaseFull("the database's disk is full: nothing was saved") from error
        if isinstance(error, OperationalError) and isinstance(error.orig, sqlite3.Error):
            raise Unavailable(f"the database cannot be used: {error.orig}") from error  # retrying may not help
        raise Unavailable(UNAVAILABLE) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable("the database connection was lost: try again") from error
        raise


def connect(url: str | URL, data: Path) -> Database:
    """The database at `url`. An empty URL means the file `gymserve.db` in the data directory.

    Raises:
        SettingsError: the kind of database is unknown, or its driver is not installed.
    """
    try:
        address = make_url(url or sqlite_url(data / "gymserve.db"))
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
        from gymserve.store import postgresql  # here, since the driver is an optional extra

        postgresql.limit(engine, ping_seconds=WAIT_SECONDS, statement_seconds=4 * WAIT_SECONDS + 1)
    return Database(engine, data if kind == "sqlite" else None)


def sqlite_url(file: Path) -> URL:
    """The URL of an SQLite file. As text, a path with a % or a ? would be read as part of the URL's syntax."""
    return URL.create("sqlite", database=str(file))


def _options(kind: str, address: URL) -> dict[str, object]:
    if kind == "sqlite":
        return {"connect_args": {"timeout": WAIT_SECONDS}}
    arguments: dict[str, object] = {"connect_timeout": WAIT_SECONDS}
    if kind in ("mysql", "mariadb"):
        arguments |= {"read_timeout": 4 * WAIT_SECONDS, "write_timeout": 4 * WAIT_SECONDS, "charset": "utf8mb4"}
    else:
        arguments["options"] = f"-c lock_timeout={WAIT_SECONDS}s -c statement_timeout={4 * WAIT_SECONDS}s"
    return {"pool_pre_ping": True, "pool_recycle": 1800, "pool_timeout": WAIT_SECONDS, "connect_args": arguments}


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # the driver would begin transactions too late
    # SQLite's own `lower` changes only A to Z.
    connection.create_function("lower", 1, lambda text: text and text.lower(), deterministic=True)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A reader that becomes a writer midway may fail at once, whatever the timeout.
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def rows_changed(session: Session, statement: Update | Delete) -> int:
    """Executes an UPDATE or DELETE, and returns the number of rows it changed."""
    return cast("CursorResult[Any]", session.execute(statement)).rowcount
