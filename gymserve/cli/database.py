"""`gymserve db`."""

from pathlib import Path

import click

from gymserve.accounts import Accounts
from gymserve.cli.accounts import open_accounts
from gymserve.cli.settings import read_settings
from gymserve.store import schema
from gymserve.system.terminal.commands import DATA, SETTINGS, with_options


@click.command
@with_options(SETTINGS, DATA)
def upgrade() -> None:
    """Upgrades the database to this program's version. Make a backup before.

    \b
    Example: gymserve db upgrade
    """
    with open_accounts(read_settings(), at_any_version=True) as accounts:
        schema.upgrade(accounts.database)
        _show_version(accounts)


@click.command
@with_options(SETTINGS, DATA)
def current() -> None:
    """Prints the database's version, and the one that this program needs.

    \b
    Example: gymserve db current
    """
    with open_accounts(read_settings(), at_any_version=True) as accounts:
        _show_version(accounts)


def _show_version(accounts: Accounts) -> None:
    click.echo(f"the database has version {schema.current(accounts.database)}; this program needs {schema.newest()}")


@click.command
@click.argument("file", type=click.Path(path_type=Path))
@with_options(SETTINGS, DATA)
def backup(file: Path) -> None:
    """Copies all rows of a database of any kind into a new SQLite file.

    \b
    Example: gymserve db backup accounts-2026-11-21.db
    """
    with open_accounts(read_settings()) as accounts:
        click.echo(f"{schema.backup(accounts.database, file)} rows were copied to {file}")


@click.command
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_options(SETTINGS, DATA)
def restore(file: Path) -> None:
    """Fills an empty database of any kind from a backup.

    \b
    Example: gymserve db restore accounts-2026-11-21.db
    """
    with open_accounts(read_settings(), at_any_version=True) as accounts:
        click.echo(f"{schema.restore(accounts.database, file)} rows were restored")
