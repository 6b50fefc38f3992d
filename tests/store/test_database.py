"""Transactions, on each kind of database."""

import concurrent.futures
import contextlib
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from gymserve.errors import SettingsError, Unavailable
from gymserve.store import Database, connect, schema
from gymserve.store.models import Account, Project, now


def account(name: str) -> Account:
    return Account(email=name, email_key=name, password_hash="-", role="participant")


def test_what_is_written_is_read(database: Database) -> None:
    before = now()
    with database.writing() as session:
        session.add(account("标题 – äß 🐛"))
    with database.reading() as session:
        read = session.scalar(select(Account))
    assert read is not None
    assert (read.id, read.email, read.is_active) == (1, "标题 – äß 🐛", True)
    assert before <= read.created_at <= now() and read.created_at.tzinfo is not None


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(IntegrityError), database.writing() as session:
        session.add(account("a"))
        session.flush()
        session.add(account("a"))
        session.flush()
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Account)) == 0


def test_names_are_compared_as_they_are_written(database: Database) -> None:
    with database.writing() as session:
        session.add_all([account("a"), account("A"), account("ä")])
    with database.reading() as session:
        assert session.scalar(select(func.count()).where(Account.email_key == "A")) == 1


def test_ids_are_never_used_twice(database: Database) -> None:
    with database.writing() as session:
        session.add(first := account("a"))
    with database.writing() as session:
        session.delete(session.get_one(Account, first.id))
    with database.writing() as session:
        session.add(second := account("b"))
    assert second.id > first.id


def test_what_belongs_to_an_account_goes_with_it(database: Database) -> None:
    with database.writing() as session:
        session.add(owner := account("a"))
        session.flush()
        session.add(Project(account_id=owner.id, number=1, title="t", description="", project_type="p"))
    with database.writing() as session:
        session.delete(session.get_one(Account, owner.id))
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Project)) == 0


def test_writers_side_by_side_lose_nothing(database: Database) -> None:
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


def test_writers_of_sqlite_wait_in_line_whatever_its_own_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gymserve.store.database.PATIENCE_SECONDS", 0)
    databases = [connect("", tmp_path) for _ in range(2)]  # as of two processes
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


def test_sqlite_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    with contextlib.closing(connect("", tmp_path)) as database, database.engine.connect() as connection:
        asked = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
        assert asked == ["wal", 2]  # FULL
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    assert (tmp_path / "gymserve.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("url", ["postgresql://postgres@127.0.0.1:9/x", "mariadb://root@127.0.0.1:9/x"])
def test_a_database_that_is_away_is_an_error_of_ours(url: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not answer"), connect(url, tmp_path).reading():
        pass


@pytest.mark.parametrize("url", ["nonsense", "oracle://x/y", "://"])
def test_an_unknown_kind_of_database_is_one_clear_line(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="DATABASE must be a URL"):
        connect(url, tmp_path)
