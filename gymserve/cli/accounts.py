"""The accounts of a data directory, and `gymserve account`, `gymserve key` and `gymserve audit`."""

import getpass
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from gymserve.accounts import Accounts, AccountSettings
from gymserve.accounts import audit as log
from gymserve.accounts.audit import COMMAND_LINE
from gymserve.accounts.identity import SCOPES
from gymserve.accounts.keys import KeyRequest
from gymserve.cli.settings import check_data_exists, read_settings
from gymserve.protocol import errors, params
from gymserve.settings import Settings
from gymserve.store import schema
from gymserve.store.models import ROLES, Account
from gymserve.system.terminal.commands import DATA, JSON, SETTINGS, with_options
from gymserve.system.terminal.tables import print_rows

PAGE = 1000


@contextmanager
def open_accounts(configuration: Settings, *, at_any_version: bool = False) -> Iterator[Accounts]:
    """Opens the accounts; a new database gets its tables, unless `at_any_version`.

    Raises:
        UsageError: `--data` names a directory that does not exist.
        Unavailable: the database cannot be used, or has another version.
    """
    check_data_exists(configuration.DATA)
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


@click.command
@click.argument("email")
@click.option("--role", type=click.Choice(ROLES), default="participant", help="What the account may do.")
@with_options(SETTINGS, DATA)
def create_account(email: str, role: str) -> None:
    """Creates an account. Asks for the password, or reads it from standard input.

    \b
    Example: gymserve account create me@example.org --role admin
    """
    with open_accounts(read_settings()) as accounts:
        account = accounts.directory.create(email, _password(), role=role, by=COMMAND_LINE)
        click.echo(f"account {account.id} {account.email}, {account.role}")


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if password != getpass.getpass("Again: "):
        raise errors.InvalidRequest("the two passwords differ")
    return password


@click.command
@with_options(SETTINGS, DATA, JSON)
def list_accounts() -> None:
    """Lists the accounts.

    \b
    Example: gymserve account list --json
    """
    rows: list[tuple[object, ...]] = []
    with open_accounts(read_settings()) as accounts:
        while page := accounts.directory.list(skip=len(rows), limit=PAGE):
            rows += [(each.id, each.role, "active" if each.is_active else "disabled", each.email) for each in page]
    print_rows(("id", "role", "state", "email"), rows)


@click.command
@click.argument("email")
@with_options(SETTINGS, DATA)
def disable(email: str) -> None:
    """Disables an account: ends its logins and keys.

    \b
    Example: gymserve account disable me@example.org
    """
    _change(email, is_active=False)
    click.echo(f"{email} is disabled")


@click.command
@click.argument("email")
@with_options(SETTINGS, DATA)
def enable(email: str) -> None:
    """Enables a disabled account.

    \b
    Example: gymserve account enable me@example.org
    """
    _change(email, is_active=True)
    click.echo(f"{email} is enabled")


@click.command
@click.argument("email")
@with_options(SETTINGS, DATA)
def reset_password(email: str) -> None:
    """Sets a new random password, and prints it.

    \b
    Example: gymserve account reset-password me@example.org
    """
    password = secrets.token_urlsafe(15)
    _change(email, password=password)
    click.echo(f"the new password of {email} is {password}")


def _change(email: str, **values: Any) -> None:
    with open_accounts(read_settings()) as accounts:
        accounts.directory.change(account_named(accounts, email).id, by=COMMAND_LINE, **values)


@click.command
@click.argument("email")
@click.argument("name")
@click.option("--scopes", type=click.Choice(SCOPES), multiple=True, help="A scope; may be repeated.  [default: all]")
@click.option("--days", type=float, help="Days until the key expires.  [default: never]")
@with_options(SETTINGS, DATA)
def create_key(email: str, name: str, scopes: tuple[str, ...], days: float | None) -> None:
    """Creates an API key for an account, and prints it once.

    \b
    Example: gymserve key create me@example.org laptop --scopes environments --days 90
    """
    request = params.parse({"name": name, "scopes": list(scopes) or None, "days": days}, KeyRequest)
    with open_accounts(read_settings()) as accounts:
        key, secret = accounts.keys.create(account_named(accounts, email).id, request, by=COMMAND_LINE)
        click.echo(f"key {key.id} {key.name}, shown only once: {secret}")


@click.command
@click.argument("email")
@with_options(SETTINGS, DATA, JSON)
def list_keys(email: str) -> None:
    """Lists an account's keys.

    \b
    Example: gymserve key list me@example.org
    """
    with open_accounts(read_settings()) as accounts:
        keys = accounts.keys.list(account_named(accounts, email).id)
    print_rows(
        ("id", "key", "expires", "scopes", "name"),
        [
            (
                each.id,
                f"{each.hint}…",
                each.expires_at.date().isoformat() if each.expires_at else "never",
                each.scopes or "everything",
                each.name,
            )
            for each in keys
        ],
    )


@click.command
@click.argument("email")
@click.argument("id", type=int)
@with_options(SETTINGS, DATA)
def revoke_key(email: str, id: int) -> None:
    """Revokes a key.

    \b
    Example: gymserve key revoke me@example.org 3
    """
    with open_accounts(read_settings()) as accounts:
        accounts.keys.revoke(account_named(accounts, email).id, id, by=COMMAND_LINE)
    click.echo(f"key {id} is revoked")


@click.command
@click.option("--days", type=float, default=30.0, help="How many days of entries to print.")
@click.option("--account", metavar="EMAIL", help="Only this account's entries.")
@click.option("--limit", type=int, default=1000, help="How many entries to print.")
@with_options(SETTINGS, DATA, JSON)
def audit(days: float, account: str | None, limit: int) -> None:
    """Prints the audit log: who changed accounts and keys, logged in, or was refused.

    \b
    Example: gymserve audit --days 7 --account me@example.org
    """
    with open_accounts(read_settings()) as accounts:
        account_id = account_named(accounts, account).id if account else None
        entries = log.entries(accounts.database, days=days, account_id=account_id, limit=limit)
        rows = [
            (f"{each.at:%Y-%m-%d %H:%M:%S}", each.actor, each.address, each.action, each.subject) for each in entries
        ]
    print_rows(("time", "actor", "address", "action", "subject"), rows)
