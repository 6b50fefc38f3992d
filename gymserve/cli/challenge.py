"""The sub-command `gym_http_server.py challenge`."""

import argparse
import subprocess
from pathlib import Path

from gymserve.accounts import Accounts
from gymserve.accounts.audit import COMMAND_LINE
from gymserve.environments import Catalogue
from gymserve.grader.challenges import definition, examples
from gymserve.grader.server.competitions.competition import Competition
from gymserve.grader.server.reports.outbox import Outbox
from gymserve.grader.server.submissions.lifecycle import Submissions
from gymserve.hosts.pool.instances import Instances
from gymserve.protocol.errors import InvalidRequest
from gymserve.store.models import now
from gymserve.system import interpreters


def _competition(accounts: Accounts, options: argparse.Namespace) -> Competition:
    return Competition(accounts.database, Path(options.settings.DATA), functions=options.settings.SCORING_FUNCTIONS)


def create(accounts: Accounts, options: argparse.Namespace, owner_id: int | None) -> None:
    file = examples.path_of(options.file)
    challenge = definition.load(file, functions=options.settings.SCORING_FUNCTIONS)
    Catalogue.of(options.settings).resolve(challenge.environment)
    _define(accounts, options, file, owner_id)


def _define(accounts: Accounts, options: argparse.Namespace, file: Path, owner_id: int | None) -> None:
    record = _competition(accounts, options).define(file.read_text(), owner_id=owner_id, sees_all=True)
    accounts.note(COMMAND_LINE, "challenge defined", record.challenge.name)
    print(f"challenge {record.challenge.name}: {'open' if record.may_submit(now()) else 'not open at this time'}")


def list_examples(accounts: Accounts, options: argparse.Namespace, owner_id: int | None) -> None:
    """Lists the examples; with `--create`, creates challenges of those whose environments are installed."""
    catalogue = Catalogue.of(options.settings)
    for name in examples.names():
        challenge = definition.load(examples.path_of(name))
        missing = examples.missing(catalogue, challenge.environment)
        if options.create and not missing:
            _define(accounts, options, examples.path_of(name), owner_id)
        else:
            print(f"{name:24} {challenge.environment:24} {missing or challenge.title}")


def check(accounts: Accounts, options: argparse.Namespace, owner_id: int | None) -> None:
    """Runs `python -m gymserve.grader check` in an interpreter like those of the server's hosts."""
    settings = options.settings
    definition.load(examples.path_of(options.file), functions=settings.SCORING_FUNCTIONS)
    functions = [word for name in settings.SCORING_FUNCTIONS for word in ("--function", name)]
    arguments = ("check", str(examples.path_of(options.file).resolve()), "--seconds", str(options.seconds), *functions)
    done = subprocess.run(
        interpreters.command("gymserve.grader", "--modules", ",".join(settings.ENVIRONMENT_MODULES), *arguments),
        cwd=interpreters.directory(Path(settings.DATA)),
        env=interpreters.variables(settings.ENVIRONMENT_VARIABLES),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout, end="")
    if done.returncode:
        raise InvalidRequest("the challenge cannot be checked: see above")


def list_all(accounts: Accounts, options: argparse.Namespace, owner_id: int | None) -> None:
    for record in _competition(accounts, options).list():
        phase = record.challenge.phase_at(now()) if record.is_open else None
        state = f"open, phase {phase.name}" if phase else "closed"
        print(f"{record.challenge.name:24} {record.challenge.environment:24} {state}")


def set_open(accounts: Accounts, options: argparse.Namespace, owner_id: int | None) -> None:
    is_open = options.verb == "open"
    _competition(accounts, options).set_open(options.name, is_open, owner_id=None, sees_all=True)
    accounts.note(COMMAND_LINE, "challenge opened" if is_open else "challenge closed", options.name)
    print(f"challenge {options.name} is {'open' if is_open else 'closed'}")


def decide(accounts: Accounts, options: argparse.Namespace, owner_id: int | None) -> None:
    """Accepts or voids a submission that cannot be replayed."""
    accept = options.verb == "accept"
    instances = Instances(options.settings, Catalogue.of(options.settings))
    outbox = Outbox.of(options.settings, accounts.database, Path(options.settings.DATA))
    submissions = Submissions(
        accounts.database, _competition(accounts, options), instances, Path(options.settings.DATA).resolve(), outbox
    )
    submissions.judge.decide(submissions.find(options.name), accept=accept)
    accounts.note(COMMAND_LINE, "submission accepted" if accept else "submission voided", options.name)
    print(f"submission {options.name} is {submissions.find(options.name).state}")


def reports(accounts: Accounts, options: argparse.Namespace, owner_id: int | None) -> None:
    outbox = Outbox.of(options.settings, accounts.database, Path(options.settings.DATA))
    if options.retry:
        print(f"{outbox.hurry()} reports will be sent again as soon as the server runs")
    for report, submission, name in outbox.list():
        what = "began" if report.number == 0 else "ended"
        print(f"{submission} of {name}: {what}, {report.state} since {report.created_at:%Y-%m-%d %H:%M} UTC, "
              f"{report.attempts} attempts; {report.reason or 'not tried yet'}")  # fmt: skip


VERBS = {
    "create": create, "examples": list_examples, "check": check, "list": list_all, "open": set_open, "close": set_open,
    "accept": decide, "void": decide, "reports": reports,
}  # fmt: skip
