"""Transactions, on each kind of database."""

import concurrent.futures
import contextlib
import json
import math
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, func, literal, null, select, text
from sqlalchemy.exc import IntegrityError

from gymserve.protocol.errors import DatabaseFull, SettingsError, Unavailable
from gymserve.store import Database, connect, schema
from gymserve.store import database as database_module
from gymserve.store.database import sqlite_url
from gymserve.store.models import Account, Experiment, Project, now
from tests.support.proxies import behind_a_gate
from tests.support.servers import wait_for
from tests.support.stopped import Stoppable, stoppable


def account(name: str) -> Account:
    return Account(email=name, email_key=name, password_hash="-", role="participant")


def test_rows_are_read_as_they_were_written(database: Database) -> None:
    before = now()
    with database.writing() as session:
        session.add(account("标题 – äß 🐛"))
    with database.reading() as session:
        read = session.scalar(select(Account))
    assert read is not None
    assert (read.id, read.email, read.is_active) == (1, "标题 – äß 🐛", True)
    assert before <= read.created_at <= now() and read.created_at.tzinfo is not None


def test_json_is_kept_as_the_text_that_earlier_versions_wrote(database: Database) -> None:
    value = {"z": 2**63 - 1, "a": [1.0, 5e-324, math.inf, None, {"": "\0 \ud800 ä 🐛"}]}
    with database.writing() as session:
        session.add(Experiment(name="e", title="t", runner="sb3", state="created", parameters=value))
    with database.reading() as session:
        row = session.scalars(select(Experiment)).one()
        assert (row.parameters, list(row.parameters), row.results) == (value, ["z", "a"], {})
        stored = session.execute(text("SELECT parameters, results FROM experiments")).one()
        assert tuple(stored) == (json.dumps(value), "{}")
    with database.writing() as session:
        changed = session.scalars(select(Experiment)).one()
        changed.parameters = {**changed.parameters, "z": 1}
    with database.reading() as session:
        assert session.scalar(select(Experiment.parameters)) == {**value, "z": 1}
    with pytest.raises(IntegrityError), database.writing() as session:
        session.scalars(select(Experiment)).one().results = None


def test_a_failed_transaction_leaves_nothing_behind(database: Database) -> None:
    with pytest.raises(IntegrityError), database.writing() as session:
        session.add(account("a"))
        session.flush()
        session.add(account("a"))
        session.flush()
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Account)) == 0


def test_text_is_compared_byte_for_byte(database: Database) -> None:
    with database.writing() as session:
        session.add_all([account("a"), account("A"), account("ä")])
    with database.reading() as session:
        assert session.scalar(select(func.count()).where(Account.email_key == "A")) == 1


def test_ids_are_never_reused(database: Database) -> None:
    with database.writing() as session:
        session.add(first := account("a"))
    with database.writing() as session:
        session.delete(session.get_one(Account, first.id))
    with database.writing() as session:
        session.add(second := account("b"))
    assert second.id > first.id


def test_deleting_an_account_deletes_its_projects(database: Database) -> None:
    with database.writing() as session:
        session.add(owner := account("a"))
        session.flush()
        session.add(Project(account_id=owner.id, number=1, title="t", description="", project_type="p"))
    with database.writing() as session:
        session.delete(session.get_one(Account, owner.id))
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Project)) == 0


def test_concurrent_writers_lose_no_update(database: Database) -> None:
    with database.writing() as session:
        session.add(account("counter"))

    def count() -> None:
        for _ in range(20):
            with database.writing() as session:
                query = select(Account).where(Account.email_key == "counter").with_for_update()
                session.scalars(query).one().projects_made += 1

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as session:
        assert session.scalar(select(Account.projects_made)) == 160


def test_sqlite_writers_queue_whatever_its_own_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gymserve.store.database.WAIT_SECONDS", 0)
    databases = [connect("", tmp_path) for _ in range(2)]  # as two processes would have
    schema.upgrade(databases[0])

    def write(number: int) -> None:
        with databases[number % 2].writing() as session:
            session.add(account(f"{number}"))

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        list(threads.map(write, range(200)))
    with databases[0].reading() as session:
        assert session.scalar(select(func.count()).select_from(Account)) == 200
    for each in databases:
        each.close()


def test_search_ignores_case_in_every_alphabet(database: Database) -> None:
    with database.reading() as session:
        is_found = literal("Опыт с ÉTÉ").icontains("опыт с été")
        assert session.scalar(select(is_found)) and not session.scalar(select(literal("Опыт").icontains("опыты")))
        assert session.scalar(select(func.lower(null()))) is None


def test_sqlite_keeps_acknowledged_writes(tmp_path: Path) -> None:
    with contextlib.closing(connect("", tmp_path)) as database, database.engine.connect() as connection:
        pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
        assert pragmas == ["wal", 2]  # FULL
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    assert (tmp_path / "gymserve.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("url", ["postgresql://postgres@127.0.0.1:9/x", "mariadb://root@127.0.0.1:9/x"])
def test_an_unreachable_database_is_unavailable(url: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not answer"), connect(url, tmp_path).reading():
        pass


def test_an_unusable_file_is_unavailable_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    folder = connect(sqlite_url(tmp_path / "folder"), tmp_path)
    with pytest.raises(Unavailable, match="cannot be used: unable to open database file"), folder.reading():
        pass
    monkeypatch.setattr("gymserve.store.database.WAIT_SECONDS", 0)
    with contextlib.closing(connect("", tmp_path)) as first, contextlib.closing(connect("", tmp_path)) as second:
        second.write_lock = None  # like another program, which does not queue
        with first.writing(), pytest.raises(Unavailable, match="cannot be used: database is locked"), second.writing():
            pass


@pytest.mark.parametrize("url", ["nonsense", "oracle://x/y", "://"])
def test_an_unknown_kind_of_database_is_a_settings_error(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="DATABASE must be a URL"):
        connect(url, tmp_path)


@pytest.mark.guarantee("the database accepts and is silent")
@pytest.mark.parametrize("migrated_url", ["postgresql", pytest.param("mariadb", marks=pytest.mark.long)], indirect=True)
@pytest.mark.parametrize("when", ["before the query", "during the query"])
def test_an_unresponsive_database_makes_requests_fail_fast(
    migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    with behind_a_gate(migrated_url) as (gate, url):
        check_silence(url, gate.silent, tmp_path, monkeypatch, at_once=when == "before the query")
        assert len(gate.connections) < 200  # only the one thread that probes it connects


@pytest.mark.guarantee("the database accepts and is silent")
@pytest.mark.needs("initdb")
@pytest.mark.parametrize("when", ["before the query", "during the query"])
def test_a_stopped_database_makes_requests_fail_fast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    with stoppable() as server:
        wait_for(lambda: is_up(server.url, tmp_path))
        check_silence(server.url, server, tmp_path, monkeypatch, at_once=when == "before the query")


def is_up(url: str, folder: Path) -> bool:
    with contextlib.closing(connect(url, folder)) as database:
        return answers(database)


def check_silence(
    url: str, silence: threading.Event | Stoppable, folder: Path, monkeypatch: pytest.MonkeyPatch, *, at_once: bool
) -> None:
    """Checks that only the first request waits for a silent database, that others fail at once, and that it recovers."""
    monkeypatch.setattr(database_module, "WAIT_SECONDS", 1)
    monkeypatch.setattr(database_module, "UNRESPONSIVE_SECONDS", 0.5)
    with contextlib.closing(connect(url, folder)) as database:
        assert answers(database)
        if at_once:
            silence.set()
        began = time.monotonic()
        with pytest.raises(Unavailable), database.reading() as session:
            silence.set()
            session.scalar(select(literal(2)))
        assert time.monotonic() - began < 30
        began = time.monotonic()
        for _ in range(1000):
            with pytest.raises(Unavailable), database.reading():
                pass
        assert time.monotonic() - began < 250  # waiting for each would take 1,000 s
        silence.clear()
        wait_for(lambda: answers(database))


def answers(database: Database) -> bool:
    with contextlib.suppress(Unavailable), database.reading() as session:
        return session.scalar(select(literal(3))) == 3
    return False


def test_a_full_disk_is_reported(tmp_path: Path) -> None:
    with contextlib.closing(connect("", tmp_path)) as database:
        schema.upgrade(database)

        @event.listens_for(database.engine, "begin")
        def bound(connection: Connection) -> None:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")  # like a disk without room for another page

        with pytest.raises(DatabaseFull, match="full"), database.writing() as session:
            session.add_all([account(str(index) * 100) for index in range(1000)])
        with database.reading() as session:
            assert session.scalar(select(func.count()).select_from(Account)) == 0
