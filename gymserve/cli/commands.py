"""The front door's sub-commands: `db`, `account`, `key`, `challenge`, `train`, `audit`."""

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
from gymserve.accounts.keys import KeyOrder
from gymserve.protocol import errors, params
from gymserve.settings import Settings
from gymserve.store import schema
from gymserve.store.models import ROLES, Account


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the sub-commands."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _database(commands.add_parser("db", help="the database: upgrade, current, backup, restore"))
    _account(commands.add_parser("account", help="accounts: create, list, disable, enable, reset-password"))
    _key(commands.add_parser("key", help="API keys: create, list, revoke"))
    _challenge(commands.add_parser("challenge", help="challenges: create, check, open, close, accept, void …"))
    trained = commands.add_parser("train", help="train a policy, and follow it to its end")
    trained.add_argument("name")
    trained.add_argument("--algorithm", required=True, help="such as PPO")
    trained.add_argument("--environment", required=True, help="such as CartPole-v1")
    trained.add_argument("--timesteps", type=int, dest="total_timesteps")
    trained.add_argument("--seed", type=int)
    trained.add_argument("--n-envs", type=int, help="copies of the environment")
    trained.add_argument("--tuned", action="store_true", help="begin with values that are known to learn well")
    trained.add_argument("--hyperparameters", default="{}", metavar="JSON")
    trained.set_defaults(command=train)
    shown = commands.add_parser("audit", help="who did what")
    shown.add_argument("--days", type=float, default=30.0, help="of so many days (30)")
    shown.add_argument("--account", metavar="EMAIL", help="only what this account did")
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
    verb("upgrade", upgrade, "bring the schema to this program's version")
    verb("current", current, "tell the schema's version")
    verb("backup", backup, "copy all rows into a new SQLite file").add_argument("file", type=Path)
    verb("restore", restore, "fill an empty database from a backup").add_argument("file", type=Path)


def _account(parser: argparse.ArgumentParser) -> None:
    verb = _verbs(parser)
    new = verb("create", create_account, "make an account; the password is asked for, or read from standard input")
    new.add_argument("email")
    new.add_argument("--role", choices=ROLES, default="participant")
    verb("list", list_accounts, "list the accounts")
    for name, command, meaning in (
        ("disable", disable, "end an account's logins and keys"),
        ("enable", enable, "undo disable"),
        ("reset-password", reset_password, "give a new random password"),
    ):
        verb(name, command, meaning).add_argument("email")


def _key(parser: argparse.ArgumentParser) -> None:
    verb = _verbs(parser)
    new = verb("create", create_key, "make a key, and print it")
    new.add_argument("email")
    new.add_argument("name")
    new.add_argument("--scopes", nargs="+", choices=SCOPES, help="what it is good for (everything)")
    new.add_argument("--days", type=float, help="how long it lasts (until it is revoked)")
    verb("list", list_keys, "list an account's keys").add_argument("email")
    ended = verb("revoke", revoke_key, "end a key")
    ended.add_argument("email")
    ended.add_argument("id", type=int)


def _challenge(parser: argparse.ArgumentParser) -> None:
    verb = _verbs(parser)
    new = verb("create", challenge, "define a challenge, or change it, from a TOML file")
    shown = verb("examples", challenge, "list the challenges that ship with the program, or make them")
    shown.add_argument("--create", action="store_true", help="make all those whose environments are installed")
    shown.set_defaults(verb="examples")
    for each in (new, shown):
        each.add_argument("--owner", metavar="EMAIL", help="the organiser whose it is to be")
    checked = verb("check", challenge, "make its environment, replay it, and show a random agent's scores")
    checked.add_argument("--seconds", type=float, default=20.0, help="how long the random agent may play (20)")
    for name, each in (("create", new), ("check", checked)):
        each.add_argument("file", type=Path, help="a TOML file, or the name of an example")
        each.set_defaults(verb=name)
    verb("list", challenge, "list the challenges").set_defaults(verb="list")
    reports = verb("reports", challenge, "list what a challenge server elsewhere has not taken yet")
    reports.add_argument("--retry", action="store_true", help="send what waits again now")
    reports.set_defaults(verb="reports")
    for name, meaning in (
        ("open", "take submissions, within the phases' dates"),
        ("close", "take no more submissions"),
        ("accept", "let a submission that cannot be replayed count"),
        ("void", "void a submission that cannot be replayed, and give its slot back"),
    ):
        each = verb(name, challenge, meaning)
        each.add_argument("name")
        each.set_defaults(verb=name)


def run(settings: Settings, asked: argparse.Namespace) -> int:
    """Carries out the sub-command that was asked for.

    Raises:
        GymserveError: it cannot be done.
    """
    asked.settings = settings
    accounts = Accounts(settings)
    if asked.command not in (upgrade, current, restore):
        schema.ensure(accounts.database, Path(settings.DATA))
    asked.command(accounts, asked)
    return 0


def upgrade(accounts: Accounts, asked: argparse.Namespace) -> None:
    schema.upgrade(accounts.database)
    current(accounts, asked)


def current(accounts: Accounts, asked: argparse.Namespace) -> None:
    print(f"the database is of version {schema.current(accounts.database)}; this program works with {schema.newest()}")


def backup(accounts: Accounts, asked: argparse.Namespace) -> None:
    print(f"{schema.backup(accounts.database, asked.file)} rows are in {asked.file}")


def restore(accounts: Accounts, asked: argparse.Namespace) -> None:
    print(f"{schema.restore(accounts.database, asked.file)} rows are restored")


def create_account(accounts: Accounts, asked: argparse.Namespace) -> None:
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if password != getpass.getpass("Again: "):
            raise errors.InvalidRequest("the two are not the same")
    else:
        password = sys.stdin.readline().rstrip("\n")
    account = accounts.directory.create(asked.email, password, role=asked.role, by=COMMAND_LINE)
    print(f"account {account.id} {account.email}, {account.role}")


def list_accounts(accounts: Accounts, asked: argparse.Namespace) -> None:
    skip = 0
    while found := accounts.directory.list(skip=skip, limit=1000):
        for account in found:
            print(f"{account.id:6} {account.role:12} {'active  ' if account.is_active else 'disabled'} {account.email}")
        skip += len(found)


def disable(accounts: Accounts, asked: argparse.Namespace) -> None:
    _change(accounts, asked.email, is_active=False)
    print(f"{asked.email} is disabled")


def enable(accounts: Accounts, asked: argparse.Namespace) -> None:
    _change(accounts, asked.email, is_active=True)
    print(f"{asked.email} is enabled")


def reset_password(accounts: Accounts, asked: argparse.Namespace) -> None:
    password = secrets.token_urlsafe(15)
    _change(accounts, asked.email, password=password)
    print(f"the new password of {asked.email} is {password}")


def create_key(accounts: Accounts, asked: argparse.Namespace) -> None:
    account = _named(accounts, asked.email)
    order = params.parse({name: getattr(asked, name) for name in ("name", "scopes", "days")}, KeyOrder)
    key, secret = accounts.keys.create(account.id, order, by=COMMAND_LINE)
    print(f"key {key.id} {key.name}, shown this once: {secret}")


def list_keys(accounts: Accounts, asked: argparse.Namespace) -> None:
    for key in accounts.keys.list(_named(accounts, asked.email).id):
        expires = key.expires_at.date().isoformat() if key.expires_at else "never expires"
        print(f"{key.id:6} {key.hint}… {expires:13} {key.scopes or 'everything':30} {key.name}")


def revoke_key(accounts: Accounts, asked: argparse.Namespace) -> None:
    accounts.keys.revoke(_named(accounts, asked.email).id, asked.id, by=COMMAND_LINE)
    print(f"key {asked.id} is revoked")


def challenge(accounts: Accounts, asked: argparse.Namespace) -> None:
    from gymserve.cli import challenge as commands  # here, since the other sub-commands do without environments

    owner = _named(accounts, asked.owner).id if getattr(asked, "owner", None) else None
    commands.VERBS[asked.verb](accounts, asked, owner)


def train(accounts: Accounts, asked: argparse.Namespace) -> None:
    from gymserve.cli import train as commands  # here, since the other sub-commands do without environments

    commands.train(accounts.database, asked.settings, asked)


def show_audit(accounts: Accounts, asked: argparse.Namespace) -> None:
    account_id = _named(accounts, asked.account).id if asked.account else None
    for entry in audit.entries(accounts.database, days=asked.days, account_id=account_id, limit=asked.limit):
        print(f"{entry.at:%Y-%m-%d %H:%M:%S} {entry.actor} {entry.address} {entry.action}: {entry.subject}")


def _named(accounts: Accounts, email: str) -> Account:
    account = accounts.directory.named(email)
    if account is None:
        raise errors.NotFound(f"there is no account {email}")
    return account


def _change(accounts: Accounts, email: str, **values: Any) -> None:
    accounts.directory.change(_named(accounts, email).id, by=COMMAND_LINE, **values)
