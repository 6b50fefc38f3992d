"""Migrations, backups and restores on each kind of database."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select

from gymserve.protocol.errors import SettingsError
from gymserve.store import Database, connect, schema
from gymserve.store.models import Account, ApiKey, TableModel, now
from tests.store.test_database import account


def test_the_migrations_produce_the_models(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), TableModel.metadata) == []


def test_an_empty_database_is_set_up_once(database_url: str, tmp_path: Path) -> None:
    empty = connect(database_url, tmp_path)
    assert schema.current(empty) is None
    schema.ensure(empty, tmp_path)
    schema.ensure(empty, tmp_path)
    assert schema.current(empty) == schema.newest()
    assert {*schema.tables(empty)} == {*TableModel.metadata.tables, "alembic_version"}
    empty.close()


def test_a_database_with_a_newer_version_is_refused(database: Database, tmp_path: Path) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SettingsError, match="newer version"):
        schema.ensure(database, tmp_path)


def test_a_backup_has_every_row_and_fills_an_empty_database(database: Database, tmp_path: Path) -> None:
    with database.writing() as session:
        session.add(owner := account("ä"))
        session.add(account("b"))
        session.flush()
        session.add(ApiKey(account_id=owner.id, name="k", digest="d", hint="h", expires_at=now()))
    assert schema.backup(database, tmp_path / "backup.db") == 3
    with pytest.raises(SettingsError, match="exists"):
        schema.backup(database, tmp_path / "backup.db")
    with pytest.raises(SettingsError, match="not empty"):
        schema.restore(database, tmp_path / "backup.db")

    with database.writing() as session:
        for row in session.scalars(select(Account)):
            session.delete(row)
    assert schema.restore(database, tmp_path / "backup.db") == 3
    with database.writing() as session:
        key = session.scalars(select(ApiKey)).one()
        assert session.get_one(Account, key.account_id).email == "ä"
        assert key.expires_at is not None and key.expires_at <= now()
        session.add(account("c"))  # gets an unused id
        session.flush()


def test_restoring_from_a_missing_file_is_an_error(database: Database, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no file"):
        schema.restore(database, tmp_path / "nothing.db")
