"""What `gym_http_server.py challenge` does."""

import argparse
import subprocess
from pathlib import Path

from grader.challenges import definition, examples
from grader.server.competitions.competition import Competition
from grader.server.reports.outbox import Outbox
from grader.server.submissions.lifecycle import Submissions
from gymserve.accounts import Accounts
from gymserve.accounts.audit import COMMAND_LINE
from gymserve.environments import Catalogue
from gymserve.hosts.pool.instances import Instances
from gymserve.protocol.errors import InvalidRequest
from gymserve.store.models import now
from gymserve.system import interpreters


def _competition(accounts: Accounts, asked: argparse.Namespace) -> Competition:
    return Competition(accounts.database, Path(asked.settings.DATA), functions=asked.settings.SCORING_FUNCTIONS)


def create(accounts: Accounts, asked: argparse.Namespace, owner_id: int | None) -> None:
    file = examples.path_of(asked.file)
    challenge = definition.load(file, functions=asked.settings.SCORING_FUNCTIONS)
    Catalogue.of(asked.settings).resolve(challenge.environment)
    _define(accounts, asked, file, owner_id)


def _define(accounts: Accounts, asked: argparse.Namespace, file: Path, owner_id: int | None) -> None:
    held = _competition(accounts, asked).define(file.read_text(), owner_id=owner_id, sees_all=True)
    accounts.note(COMMAND_LINE, "challenge defined", held.challenge.name)
    print(f"challenge {held.challenge.name}: {'open' if held.may_submit(now()) else 'not open at this time'}")


def list_examples(accounts: Accounts, asked: argparse.Namespace, owner_id: int | None) -> None:
    """Tells of the examples; with `--create`, makes challenges of all those whose environments are here."""
    catalogue = Catalogue.of(asked.settings)
    for name in examples.names():
        challenge = definition.load(examples.path_of(name))
        missing = examples.missing(catalogue, challenge.environment)
        if asked.create and not missing:
            _define(accounts, asked, examples.path_of(name), owner_id)
        else:
            print(f"{name:24} {challenge.environment:24} {missing or challenge.title}")


def check(accounts: Accounts, asked: argparse.Namespace, owner_id: int | None) -> None:
    """Runs `python -m grader check` in an interpreter that is made as those of the server's hosts are."""
    settings = asked.settings
    definition.load(examples.path_of(asked.file), functions=settings.SCORING_FUNCTIONS)
    functions = [word for name in settings.SCORING_FUNCTIONS for word in ("--function", name)]
    order = ("check", str(examples.path_of(asked.file).resolve()), "--seconds", str(asked.seconds), *functions)
    done = subprocess.run(
        interpreters.command("grader", "--modules", ",".join(settings.ENVIRONMENT_MODULES), *order),
        cwd=interpreters.directory(Path(settings.DATA)),
        env=interpreters.variables(settings.ENVIRONMENT_VARIABLES),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout, end="")
    if done.returncode:
        raise InvalidRequest("the challenge cannot be checked: see above")


def list_all(accounts: Accounts, asked: argparse.Namespace, owner_id: int | None) -> None:
    for held in _competition(accounts, asked).list():
        phase = held.challenge.phase_at(now()) if held.is_open else None
        state = f"open, phase {phase.name}" if phase else "closed"
        print(f"{held.challenge.name:24} {held.challenge.environment:24} {state}")


def set_open(accounts: Accounts, asked: argparse.Namespace, owner_id: int | None) -> None:
    is_open = asked.verb == "open"
    _competition(accounts, asked).set_open(asked.name, is_open, owner_id=None, sees_all=True)
    accounts.note(COMMAND_LINE, "challenge opened" if is_open else "challenge closed", asked.name)
    print(f"challenge {asked.name} is {'open' if is_open else 'closed'}")


def decide(accounts: Accounts, asked: argparse.Namespace, owner_id: int | None) -> None:
    """Accepts or voids a submission that cannot be replayed."""
    accept = asked.verb == "accept"
    instances = Instances(asked.settings, Catalogue.of(asked.settings))
    outbox = Outbox.of(asked.settings, accounts.database, Path(asked.settings.DATA))
    held = Submissions(
        accounts.database, _competition(accounts, asked), instances, Path(asked.settings.DATA).resolve(), outbox
    )
    held.judge.decide(held.find(asked.name), accept=accept)
    accounts.note(COMMAND_LINE, "submission accepted" if accept else "submission voided", asked.name)
    print(f"submission {asked.name} is {held.find(asked.name).state}")


def reports(accounts: Accounts, asked: argparse.Namespace, owner_id: int | None) -> None:
    outbox = Outbox.of(asked.settings, accounts.database, Path(asked.settings.DATA))
    if asked.retry:
        print(f"{outbox.hurry()} reports are sent again as soon as the server runs")
    for report, submission, name in outbox.list():
        what = "began" if report.number == 0 else "ended"
        print(f"{submission} of {name}: {what}, {report.state} since {report.created_at:%Y-%m-%d %H:%M} UTC, "
              f"{report.attempts} attempts; {report.reason or 'not tried yet'}")  # fmt: skip


VERBS = {
    "create": create, "examples": list_examples, "check": check, "list": list_all, "open": set_open, "close": set_open,
    "accept": decide, "void": decide, "reports": reports,
}  # fmt: skip
