"""Schema versions: compare and upgrade them, and copy databases to and from backups."""

import contextlib
from pathlib import Path

from alembic import command, config, migration, script
from sqlalchemy import func, insert, inspect, select

from gymserve.protocol.errors import SettingsError
from gymserve.store.database import Database, connect, sqlite_url, translate_errors
from gymserve.store.models import TableModel
from gymserve.system.locks import locked

MIGRATIONS = Path(__file__).parent / "migrations"
BATCH = 1000  # rows per insert of a copy


def newest() -> str:
    """The schema version that this program needs."""
    return str(script.ScriptDirectory(str(MIGRATIONS)).get_current_head())


def current(database: Database) -> str | None:
    """The schema version of the database, or None if it is empty.

    Raises:
        Unavailable: the database cannot be reached.
    """
    with translate_errors(), database.engine.connect() as connection:
        return migration.MigrationContext.configure(connection).get_current_revision()


def upgrade(database: Database) -> None:
    """Upgrades the database to the newest version."""
    with translate_errors(), database.engine.begin() as connection:
        settings = config.Config()
        settings.set_main_option("script_location", str(MIGRATIONS))
        settings.set_main_option("path_separator", "os")
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")


def ensure(database: Database, data: Path) -> None:
    """Creates the tables of an empty database, and upgrades SQLite. Other databases are upgraded only by `db upgrade`.

    Raises:
        SettingsError: the database has another version.
        Unavailable: the database cannot be reached.
    """
    with locked(data / "starting"):  # several workers start at the same time
        version = current(database)
        if version == newest():
            return
        known = {each.revision for each in script.ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
        if version is not None and version not in known:
            raise SettingsError(f"the database has a newer version ({version}) than this program ({newest()})")
        if version is None or database.engine.dialect.name == "sqlite":
            upgrade(database)
            return
        raise SettingsError(
            f"the database has version {version}, but this program needs {newest()}: "
            "make a backup (gymserve db backup FILE), then run gymserve db upgrade"
        )


def backup(database: Database, file: Path) -> int:
    """Copies a consistent snapshot of all rows into a new SQLite file, and returns the number of rows.

    Raises:
        SettingsError: the file exists, or the database does not have the newest version.
    """
    if file.exists():
        raise SettingsError(f"{file} exists: choose another name")
    if current(database) != newest():
        raise SettingsError("only a database of this program's version can be copied: run gymserve db upgrade")
    with contextlib.closing(connect(sqlite_url(file.resolve()), file.parent)) as copy:
        upgrade(copy)
        return _copy(database, copy)


def restore(database: Database, file: Path) -> int:
    """Fills an empty database of any kind from a backup, and returns the number of rows.

    Raises:
        SettingsError: the file does not exist, or the database is not empty.
    """
    if not file.is_file():
        raise SettingsError(f"there is no file {file}")
    with contextlib.closing(connect(sqlite_url(file.resolve()), file.parent)) as source:
        upgrade(source)
        upgrade(database)
        with database.reading() as session:
            if any(
                session.scalar(select(func.count()).select_from(table)) for table in TableModel.metadata.sorted_tables
            ):
                raise SettingsError("the database is not empty: restore into a new one")
        return _copy(source, database)


def _copy(source: Database, target: Database) -> int:
    copied = 0
    with source.reading() as reading, target.writing() as writing:
        for table in TableModel.metadata.sorted_tables:
            rows = reading.execute(select(table).order_by(table.c.id)).mappings()
            while batch := [dict(row) for row in rows.fetchmany(BATCH)]:
                writing.execute(insert(table), batch)
                copied += len(batch)
        if target.engine.dialect.name == "postgresql":
            for table in TableModel.metadata.sorted_tables:
                last = select(func.coalesce(func.max(table.c.id), 0) + 1).scalar_subquery()
                writing.execute(select(func.setval(func.pg_get_serial_sequence(table.name, "id"), last, False)))
    return copied


def tables(database: Database) -> list[str]:
    """The names of all tables in the database."""
    with translate_errors():
        return sorted(inspect(database.engine).get_table_names())
