"""The settings and the accounts of a data directory, for the commands that need no running server."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from gymserve import settings
from gymserve.accounts import Accounts, AccountSettings
from gymserve.protocol import errors
from gymserve.store import schema
from gymserve.store.models import Account
from gymserve.system.terminal.commands import DATA, SETTINGS, shared_value


def read_settings(**overrides: object) -> settings.Settings:
    """The settings with which the running command works; None among `overrides` leaves a setting as it is.

    Raises:
        SettingsError: they are invalid.
    """
    chosen = {"DATA": shared_value(DATA), **overrides}
    return settings.load(shared_value(SETTINGS), os.environ, {k: v for k, v in chosen.items() if v is not None})


@contextmanager
def open_accounts(configuration: settings.Settings, *, at_any_version: bool = False) -> Iterator[Accounts]:
    """Opens the accounts; a new database gets its tables, unless `at_any_version`.

    Raises:
        UsageError: `--data` names a directory that does not exist; a typing error must not create a second server.
        Unavailable: the database cannot be used, or has another version.
    """
    if shared_value(DATA) and not Path(configuration.DATA).is_dir():
        raise click.UsageError(
            f"The data directory {configuration.DATA} does not exist. Check --data; "
            f"`gymserve serve --data {configuration.DATA}` makes a new one."
        )
    accounts = Accounts(configuration.pick(AccountSettings))
    try:
        if not at_any_version:
            schema.ensure(accounts.database, Path(configuration.DATA))
        yield accounts
    finally:
        accounts.database.close()


def account_named(accounts: Accounts, email: str) -> Account:
    """The account with this address.

    Raises:
        NotFound: no account has this address.
    """
    account = accounts.directory.find_by_email(email)
    if account is None:
        raise errors.NotFound(f"there is no account {email}")
    return account
