"""The sub-commands: `db`, `account`, `key`, `challenge`, `train`, `audit`."""

import argparse
import getpass
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gymserve.accounts import Accounts, audit
from gymserve.accounts.audit import COMMAND_LINE
from gymserve.accounts.identity import SCOPES
from gymserve.accounts.keys import KeyRequest
from gymserve.protocol import errors, params
from gymserve.settings import Settings
from gymserve.store import schema
from gymserve.store.models import ROLES, Account


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the sub-commands to a parser."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _database(commands.add_parser("db", help="the database: upgrade, current, backup, restore"))
    _account(commands.add_parser("account", help="accounts: create, list, disable, enable, reset-password"))
    _key(commands.add_parser("key", help="API keys: create, list, revoke"))
    _challenge(commands.add_parser("challenge", help="challenges: create, check, open, close, accept, void …"))
    trained = commands.add_parser("train", help="train a policy, and show its progress until it ends")
    trained.add_argument("name")
    trained.add_argument("--algorithm", required=True, help="for example PPO")
    trained.add_argument("--environment", required=True, help="for example CartPole-v1")
    trained.add_argument("--timesteps", type=int, dest="total_timesteps")
    trained.add_argument("--seed", type=int)
    trained.add_argument("--n-envs", type=int, help="copies of the environment")
    trained.add_argument("--tuned", action="store_true", help="start with hyperparameters that are known to learn well")
    trained.add_argument("--hyperparameters", default="{}", metavar="JSON")
    trained.set_defaults(command=train)
    shown = commands.add_parser("audit", help="print the audit log")
    shown.add_argument("--days", type=float, default=30.0, help="entries of this many days (30)")
    shown.add_argument("--account", metavar="EMAIL", help="only entries of this account")
    shown.add_argument("--limit", type=int, default=1000)
    shown.set_defaults(command=show_audit)


def _verbs(parser: argparse.ArgumentParser) -> Callable[[str, Callable[..., None], str], argparse.ArgumentParser]:
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, command: Callable[..., None], meaning: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=meaning)
        added.set_defaults(command=command)
        return added

    return verb


def _database(parser: argparse.ArgumentParser) -> None:
    verb = _verbs(parser)
    verb("upgrade", upgrade, "upgrade the schema to this program's version")
    verb("current", current, "print the schema's version")
    verb("backup", backup, "copy all rows into a new SQLite file").add_argument("file", type=Path)
    verb("restore", restore, "fill an empty database from a backup").add_argument("file", type=Path)


def _account(parser: argparse.ArgumentParser) -> None:
    verb = _verbs(parser)
    new = verb("create", create_account, "create an account; asks for the password, or reads it from standard input")
    new.add_argument("email")
    new.add_argument("--role", choices=ROLES, default="participant")
    verb("list", list_accounts, "list the accounts")
    for name, command, meaning in (
        ("disable", disable, "end an account's logins and keys"),
        ("enable", enable, "undo disable"),
        ("reset-password", reset_password, "set a new random password"),
    ):
        verb(name, command, meaning).add_argument("email")


def _key(parser: argparse.ArgumentParser) -> None:
    verb = _verbs(parser)
    new = verb("create", create_key, "create a key, and print it")
    new.add_argument("email")
    new.add_argument("name")
    new.add_argument("--scopes", nargs="+", choices=SCOPES, help="the key's scopes (everything)")
    new.add_argument("--days", type=float, help="days until the key expires (never)")
    verb("list", list_keys, "list an account's keys").add_argument("email")
    revoke = verb("revoke", revoke_key, "revoke a key")
    revoke.add_argument("email")
    revoke.add_argument("id", type=int)


def _challenge(parser: argparse.ArgumentParser) -> None:
    verb = _verbs(parser)
    new = verb("create", challenge, "define a challenge, or change it, from a TOML file")
    listed = verb("examples", challenge, "list the challenges that ship with the program, or create them")
    listed.add_argument("--create", action="store_true", help="create those whose environments are installed")
    listed.set_defaults(verb="examples")
    for each in (new, listed):
        each.add_argument("--owner", metavar="EMAIL", help="the organiser who will own it")
    check = verb("check", challenge, "make its environment, replay it, and show a random agent's scores")
    check.add_argument("--seconds", type=float, default=20.0, help="how long the random agent may play (20)")
    for name, each in (("create", new), ("check", check)):
        each.add_argument("file", type=Path, help="a TOML file, or the name of an example")
        each.set_defaults(verb=name)
    verb("list", challenge, "list the challenges").set_defaults(verb="list")
    reports = verb("reports", challenge, "list reports that an external challenge server has not accepted yet")
    reports.add_argument("--retry", action="store_true", help="send waiting reports again now")
    reports.set_defaults(verb="reports")
    for name, meaning in (
        ("open", "accept submissions, within the phases' dates"),
        ("close", "accept no more submissions"),
        ("accept", "count a submission that cannot be replayed"),
        ("void", "void a submission that cannot be replayed, and return its slot"),
    ):
        each = verb(name, challenge, meaning)
        each.add_argument("name")
        each.set_defaults(verb=name)


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Runs the sub-command of the parsed options.

    Raises:
        GymserveError: the sub-command failed.
    """
    options.settings = settings
    accounts = Accounts(settings)
    if options.command not in (upgrade, current, restore):
        schema.ensure(accounts.database, Path(settings.DATA))
    options.command(accounts, options)
    return 0


def upgrade(accounts: Accounts, options: argparse.Namespace) -> None:
    schema.upgrade(accounts.database)
    current(accounts, options)


def current(accounts: Accounts, options: argparse.Namespace) -> None:
    print(f"the database has version {schema.current(accounts.database)}; this program needs {schema.newest()}")


def backup(accounts: Accounts, options: argparse.Namespace) -> None:
    print(f"{schema.backup(accounts.database, options.file)} rows were copied to {options.file}")


def restore(accounts: Accounts, options: argparse.Namespace) -> None:
    print(f"{schema.restore(accounts.database, options.file)} rows were restored")


def create_account(accounts: Accounts, options: argparse.Namespace) -> None:
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if password != getpass.getpass("Again: "):
            raise errors.InvalidRequest("the two passwords differ")
    else:
        password = sys.stdin.readline().rstrip("\n")
    account = accounts.directory.create(options.email, password, role=options.role, by=COMMAND_LINE)
    print(f"account {account.id} {account.email}, {account.role}")


def list_accounts(accounts: Accounts, options: argparse.Namespace) -> None:
    skip = 0
    while page := accounts.directory.list(skip=skip, limit=1000):
        for account in page:
            print(f"{account.id:6} {account.role:12} {'active  ' if account.is_active else 'disabled'} {account.email}")
        skip += len(page)


def disable(accounts: Accounts, options: argparse.Namespace) -> None:
    _change(accounts, options.email, is_active=False)
    print(f"{options.email} is disabled")


def enable(accounts: Accounts, options: argparse.Namespace) -> None:
    _change(accounts, options.email, is_active=True)
    print(f"{options.email} is enabled")


def reset_password(accounts: Accounts, options: argparse.Namespace) -> None:
    password = secrets.token_urlsafe(15)
    _change(accounts, options.email, password=password)
    print(f"the new password of {options.email} is {password}")


def create_key(accounts: Accounts, options: argparse.Namespace) -> None:
    account = _account_named(accounts, options.email)
    order = params.parse({name: getattr(options, name) for name in ("name", "scopes", "days")}, KeyRequest)
    key, secret = accounts.keys.create(account.id, order, by=COMMAND_LINE)
    print(f"key {key.id} {key.name}, shown only once: {secret}")


def list_keys(accounts: Accounts, options: argparse.Namespace) -> None:
    for key in accounts.keys.list(_account_named(accounts, options.email).id):
        expires = key.expires_at.date().isoformat() if key.expires_at else "never expires"
        print(f"{key.id:6} {key.hint}… {expires:13} {key.scopes or 'everything':30} {key.name}")


def revoke_key(accounts: Accounts, options: argparse.Namespace) -> None:
    accounts.keys.revoke(_account_named(accounts, options.email).id, options.id, by=COMMAND_LINE)
    print(f"key {options.id} is revoked")


def challenge(accounts: Accounts, options: argparse.Namespace) -> None:
    from gymserve.cli import challenge as commands  # deferred, since other sub-commands need no environments

    owner = _account_named(accounts, options.owner).id if getattr(options, "owner", None) else None
    commands.VERBS[options.verb](accounts, options, owner)


def train(accounts: Accounts, options: argparse.Namespace) -> None:
    from gymserve.cli import train as commands  # deferred, since other sub-commands need no environments

    commands.train(accounts.database, options.settings, options)


def show_audit(accounts: Accounts, options: argparse.Namespace) -> None:
    account_id = _account_named(accounts, options.account).id if options.account else None
    for entry in audit.entries(accounts.database, days=options.days, account_id=account_id, limit=options.limit):
        print(f"{entry.at:%Y-%m-%d %H:%M:%S} {entry.actor} {entry.address} {entry.action}: {entry.subject}")


def _account_named(accounts: Accounts, email: str) -> Account:
    account = accounts.directory.find_by_email(email)
    if account is None:
        raise errors.NotFound(f"there is no account {email}")
    return account


def _change(accounts: Accounts, email: str, **values: Any) -> None:
    accounts.directory.change(_account_named(accounts, email).id, by=COMMAND_LINE, **values)
