"""The schema's versions: brought up to date, compared, copied."""

import contextlib
from pathlib import Path

from alembic import command, config, migration, script
from sqlalchemy import func, insert, inspect, select

from gymserve.protocol.errors import SettingsError
from gymserve.store.database import Database, at_file, connect, translated
from gymserve.store.models import Model
from gymserve.system.locks import locked

MIGRATIONS = Path(__file__).parent / "migrations"
BATCH = 1000  # rows copied at once


def newest() -> str:
    """The version that this program works with."""
    return str(script.ScriptDirectory(str(MIGRATIONS)).get_current_head())


def current(database: Database) -> str | None:
    """The version of the database; None: it is empty.

    Raises:
        Unavailable: it cannot be reached.
    """
    with translated(), database.engine.connect() as connection:
        return migration.MigrationContext.configure(connection).get_current_revision()


def upgrade(database: Database) -> None:
    """Brings the database to the newest version."""
    with translated(), database.engine.begin() as connection:
        settings = config.Config()
        settings.set_main_option("script_location", str(MIGRATIONS))
        settings.set_main_option("path_separator", "os")
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")


def ensure(database: Database, data: Path) -> None:
    """Makes an empty database ready. SQLite's own file is upgraded too; others only by `db upgrade`.

    Raises:
        SettingsError: its version is another one.
        Unavailable: it cannot be reached.
    """
    with locked(data / "starting"):  # workers start side by side
        version = current(database)
        if version == newest():
            return
        known = {each.revision for each in script.ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
        if version is not None and version not in known:
            raise SettingsError(f"the database is of a newer version ({version}) than this program ({newest()})")
        if version is None or database.engine.dialect.name == "sqlite":
            upgrade(database)
            return
        raise SettingsError(
            f"the database is of version {version}, this program needs {newest()}: "
            "make a backup (gym_http_server.py db backup FILE), then run gym_http_server.py db upgrade"
        )


def backup(database: Database, file: Path) -> int:
    """Copies every row, as of one moment, into a new SQLite database; returns how many rows.

    Raises:
        SettingsError: the file exists, or the database is not of the newest version.
    """
    if file.exists():
        raise SettingsError(f"{file} exists: choose another name")
    if current(database) != newest():
        raise SettingsError(
            "only a database of this program's version can be copied: run gym_http_server.py db upgrade"
        )
    with contextlib.closing(connect(at_file(file.resolve()), file.parent)) as copy:
        upgrade(copy)
        return _copy(database, copy)


def restore(database: Database, file: Path) -> int:
    """Fills an empty database from a backup, of whatever kind either was; returns how many rows.

    Raises:
        SettingsError: there is no such file, or the database is not empty.
    """
    if not file.is_file():
        raise SettingsError(f"there is no file {file}")
    with contextlib.closing(connect(at_file(file.resolve()), file.parent)) as source:
        upgrade(source)
        upgrade(database)
        with database.reading() as session:
            if any(session.scalar(select(func.count()).select_from(table)) for table in Model.metadata.sorted_tables):
                raise SettingsError("the database is not empty: restore into a new one")
        return _copy(source, database)


def _copy(source: Database, target: Database) -> int:
    rows = 0
    with source.reading() as reading, target.writing() as writing:
        for table in Model.metadata.sorted_tables:
            found = reading.execute(select(table).order_by(table.c.id)).mappings()
            while batch := [dict(row) for row in found.fetchmany(BATCH)]:
                writing.execute(insert(table), batch)
                rows += len(batch)
        if target.engine.dialect.name == "postgresql":
            for table in Model.metadata.sorted_tables:
                last = select(func.coalesce(func.max(table.c.id), 0) + 1).scalar_subquery()
                writing.execute(select(func.setval(func.pg_get_serial_sequence(table.name, "id"), last, False)))
    return rows


def tables(database: Database) -> list[str]:
    """The names of the tables that are there."""
    with translated():
        return sorted(inspect(database.engine).get_table_names())
