"""The command line: `gymserve`, which is also `python gym_http_server.py`. This file lists all commands."""

from collections.abc import Sequence

import click

from gymserve.cli.version import show_version
from gymserve.system.terminal.commands import DATA, JSON, MODULES, SERVER, SETTINGS, TOKEN, Group, LazyCommand, run

_ON_SERVER = "server"  # the extra with a server's libraries


def _server(place: str, summary: str) -> LazyCommand:
    return LazyCommand(f"gymserve.cli.{place}", summary, _ON_SERVER)


COMMANDS = Group(
    {
        "serve": _server("serve:command", "run the server, until Ctrl-C"),
        "env": Group(
            {
                "list": LazyCommand("gymserve.cli.env:list_environments", "list a server's environments"),
                "show": LazyCommand("gymserve.cli.env:show", "show an environment: spaces, arguments, what is missing"),
                "random": LazyCommand("gymserve.client.__main__:random", "play with random actions"),
                "play": LazyCommand("gymserve.client.__main__:play", "play in the terminal"),
            },
            help="Environments of a server.",
        ),
        "submit": LazyCommand("gymserve.client.__main__:submit", "submit an agent to a challenge"),
        "verify": LazyCommand("gymserve.grader.__main__:verify", "verify a submission's files", "grade", replays=True),
        "challenge": Group(
            {
                "run": LazyCommand("gymserve.grader.__main__:run_trials", "play practice trials here", "grade", replays=True),
                "check": LazyCommand("gymserve.cli.check:check", "try a challenge before it opens", "grade"),
                "create": _server("challenge:create", "define a challenge, or change it"),
                "examples": _server("challenge:list_examples", "list the challenges that ship with the program"),
                "list": _server("challenge:list_challenges", "list the challenges"),
                "open": _server("challenge:open_challenge", "accept submissions, within the phases' dates"),
                "close": _server("challenge:close_challenge", "accept no more submissions"),
                "accept": _server("challenge:accept", "count a submission that cannot be replayed"),
                "void": _server("challenge:void", "void a submission that cannot be replayed"),
                "reports": _server("challenge:reports", "list reports that were not accepted yet"),
            },
            help="Challenges: practise, define, open, close, decide.",
        ),
        "train": _server("train:train", "train a policy, and show its progress"),
        "model": Group(
            {
                "list": LazyCommand("gymserve.cli.models:list_models", "list the models"),
                "show": LazyCommand("gymserve.cli.models:show", "show a model's card"),
                "download": LazyCommand("gymserve.cli.models:download", "download a model's file"),
                "upload": LazyCommand("gymserve.cli.models:upload", "upload a model that was trained elsewhere"),
                "delete": LazyCommand("gymserve.cli.models:delete", "delete a model"),
            },
            help="Models in a server's registry.",
        ),
        "video": LazyCommand("gymserve.cli.recordings:video", "make a video of a journal", "server", replays=True),
        "dataset": LazyCommand("gymserve.cli.recordings:dataset", "make a data set of journals", "server", replays=True),
        "journal": Group(
            {
                "show": _server("recordings:show", "print a journal, one record a line"),
                "statistics": _server("recordings:show_statistics", "print lengths, returns and speed"),
            },
            help="Journals of instances.",
        ),
        "account": Group(
            {
                "create": _server("accounts:create_account", "create an account"),
                "list": _server("accounts:list_accounts", "list the accounts"),
                "disable": _server("accounts:disable", "end an account's logins and keys"),
                "enable": _server("accounts:enable", "undo disable"),
                "reset-password": _server("accounts:reset_password", "set a new random password"),
            },
            help="Accounts.",
        ),
        "key": Group(
            {
                "create": _server("accounts:create_key", "create a key, and print it once"),
                "list": _server("accounts:list_keys", "list an account's keys"),
                "revoke": _server("accounts:revoke_key", "revoke a key"),
            },
            help="API keys.",
        ),
        "db": Group(
            {
                "upgrade": _server("database:upgrade", "upgrade the schema to this program's version"),
                "current": _server("database:current", "print the schema's version"),
                "backup": _server("database:backup", "copy all rows into a new SQLite file"),
                "restore": _server("database:restore", "fill an empty database from a backup"),
            },
            help="The database.",
        ),
        "audit": _server("accounts:audit", "print the audit log"),
    },
    help="Serves reinforcement-learning environments over HTTP, grades agents, and trains them.\n\n"
    "Without a command, `serve` runs. Exit status: 0 if all went well, 1 if not, 2 for a wrong command, 130 after Ctrl-C.",
    options=(
        SETTINGS, DATA, SERVER, TOKEN, MODULES, JSON,
        click.Option(["--version"], is_flag=True, expose_value=False, callback=show_version, help="Print the version."),
        click.Option(["--verbose"], is_flag=True, is_eager=True, help="With --version: also libraries and settings."),
    ),
    default="serve",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the server, or the command that the arguments name, and returns its exit status."""
    return run(COMMANDS, arguments, name="gymserve", failures=_failures)


def _failures() -> tuple[type[Exception], ...]:
    from gymserve.client.transport.exceptions import (
        ServerError,  # deferred, since these modules import much that help needs not
    )
    from gymserve.protocol.errors import GymserveError

    return GymserveError, ServerError
