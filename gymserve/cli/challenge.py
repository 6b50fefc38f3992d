"""`gymserve challenge`, but for `check`, and for `run`, which needs no settings: grader/__main__.py."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from gymserve.accounts import Accounts
from gymserve.accounts.audit import COMMAND_LINE
from gymserve.cli.accounts import account_named, open_accounts
from gymserve.cli.settings import read_settings
from gymserve.environments import Catalogue
from gymserve.grader.challenges import definition, examples
from gymserve.grader.server.competitions.competition import Competition
from gymserve.grader.server.reports.outbox import Outbox
from gymserve.grader.server.submissions.lifecycle import Submissions
from gymserve.grader.server.submissions.limits import SubmissionSettings
from gymserve.hosts.pool.instances import Instances
from gymserve.settings import Settings
from gymserve.store.models import now
from gymserve.system.terminal.commands import DATA, JSON, SETTINGS, with_options
from gymserve.system.terminal.tables import print_rows

FILE = click.argument("file", type=click.Path(path_type=Path))
OWNER = click.option("--owner", metavar="EMAIL", help="The organiser who owns it.")


@contextmanager
def _competition() -> Iterator[tuple[Settings, Accounts, Competition]]:
    settings = read_settings()
    with open_accounts(settings) as accounts:
        functions = settings.SCORING_FUNCTIONS
        yield settings, accounts, Competition(accounts.database, Path(settings.DATA), functions=functions)


def _define(accounts: Accounts, competition: Competition, file: Path, owner: str | None) -> None:
    owner_id = account_named(accounts, owner).id if owner else None
    record = competition.define(file.read_text(), owner_id=owner_id, sees_all=True)
    accounts.note(COMMAND_LINE, "challenge defined", record.challenge.name)
    click.echo(f"challenge {record.challenge.name}: {'open' if record.may_submit(now()) else 'not open at this time'}")


@click.command
@FILE
@OWNER
@with_options(SETTINGS, DATA)
def create(file: Path, owner: str | None) -> None:
    """Defines a challenge, or changes it. FILE is a TOML file, or the name of an example.

    \b
    Example: gymserve challenge create pole.toml --owner me@example.org
    """
    with _competition() as (settings, accounts, competition):
        path = examples.path_of(file)
        challenge = definition.load(path, functions=settings.SCORING_FUNCTIONS)
        Catalogue.of(settings).resolve(challenge.environment)
        _define(accounts, competition, path, owner)


@click.command
@click.option("--create", is_flag=True, help="Create those whose environments are installed.")
@OWNER
@with_options(SETTINGS, DATA, JSON)
def list_examples(create: bool, owner: str | None) -> None:
    """Lists the challenges that ship with the program, or creates them.

    \b
    Example: gymserve challenge examples --create
    """
    rows = []
    with _competition() as (settings, accounts, competition):
        catalogue = Catalogue.of(settings)
        for name in examples.names():
            challenge = definition.load(examples.path_of(name))
            missing = examples.missing(catalogue, challenge.environment)
            if create and not missing:
                _define(accounts, competition, examples.path_of(name), owner)
            else:
                rows.append((name, challenge.environment, missing or challenge.title))
    if rows:
        print_rows(("name", "environment", "title"), rows)


@click.command
@with_options(SETTINGS, DATA, JSON)
def list_challenges() -> None:
    """Lists the challenges.

    \b
    Example: gymserve challenge list
    """
    rows = []
    with _competition() as (_, _, competition):
        for record in competition.list():
            phase = record.challenge.phase_at(now()) if record.is_open else None
            state = f"open, phase {phase.name}" if phase else "closed"
            rows.append((record.challenge.name, record.challenge.environment, state))
    print_rows(("name", "environment", "state"), rows)


@click.command("open")
@click.argument("name")
@with_options(SETTINGS, DATA)
def open_challenge(name: str) -> None:
    """Lets a challenge accept submissions, within its phases' dates.

    \b
    Example: gymserve challenge open pole
    """
    _set_open(name, is_open=True)


@click.command("close")
@click.argument("name")
@with_options(SETTINGS, DATA)
def close_challenge(name: str) -> None:
    """Lets a challenge accept no more submissions.

    \b
    Example: gymserve challenge close pole
    """
    _set_open(name, is_open=False)


def _set_open(name: str, *, is_open: bool) -> None:
    with _competition() as (_, accounts, competition):
        competition.set_open(name, is_open, owner_id=None, sees_all=True)
        accounts.note(COMMAND_LINE, "challenge opened" if is_open else "challenge closed", name)
    click.echo(f"challenge {name} is {'open' if is_open else 'closed'}")


@click.command
@click.argument("submission")
@with_options(SETTINGS, DATA)
def accept(submission: str) -> None:
    """Counts a submission that cannot be replayed.

    \b
    Example: gymserve challenge accept 3f6c2a
    """
    _decide(submission, accept=True)


@click.command
@click.argument("submission")
@with_options(SETTINGS, DATA)
def void(submission: str) -> None:
    """Voids a submission that cannot be replayed, and returns its slot.

    \b
    Example: gymserve challenge void 3f6c2a
    """
    _decide(submission, accept=False)


def _decide(submission: str, *, accept: bool) -> None:
    with _competition() as (settings, accounts, competition):
        instances, limits = Instances.of(settings), settings.pick(SubmissionSettings)
        outbox = Outbox.of(settings, accounts.database, instances.pool.data)
        submissions = Submissions(accounts.database, competition, instances, instances.pool.data, limits, outbox)
        submissions.judge.decide(submissions.find(submission), accept=accept)
        accounts.note(COMMAND_LINE, "submission accepted" if accept else "submission voided", submission)
        click.echo(f"submission {submission} is {submissions.find(submission).state}")


@click.command
@click.option("--retry", is_flag=True, help="Send the waiting reports again now.")
@with_options(SETTINGS, DATA)
def reports(retry: bool) -> None:
    """Lists the reports that an external challenge server has not accepted yet.

    \b
    Example: gymserve challenge reports --retry
    """
    with _competition() as (settings, accounts, _):
        outbox = Outbox.of(settings, accounts.database, Path(settings.DATA))
        if retry:
            click.echo(f"{outbox.hurry()} reports will be sent again as soon as the server runs")
        for report, submission, name in outbox.list():
            what = "began" if report.number == 0 else "ended"
            click.echo(
                f"{submission} of {name}: {what}, {report.state} since {report.created_at:%Y-%m-%d %H:%M} UTC, "
                f"{report.attempts} attempts; {report.reason or 'not tried yet'}"
            )
