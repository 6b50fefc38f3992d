"""`python -m gymserve.grader`: practise a challenge, check it before it opens, verify a submission. No server is needed.

`gymserve challenge run` and `gymserve verify` are the same commands.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from gymserve.system import extras, interpreters

if __name__ == "__main__":
    interpreters.reexecute_alike()  # before any other import

with extras.required():
    from gymserve.environments import Catalogue
    from gymserve.environments.foreign import error_text
    from gymserve.grader.challenges import definition, examples
    from gymserve.grader.practice import checking, running
    from gymserve.grader.proofs import offline_check, tables
    from gymserve.protocol.errors import GymserveError
    from gymserve.system.terminal.commands import JSON, MODULES, Group, run, shared_value, with_options
    from gymserve.system.terminal.progress import Progress

CHALLENGE = click.argument("challenge", type=click.Path(path_type=Path))
FUNCTION = click.option("--function", "functions", multiple=True, help="A scoring function that may be imported.")


def _catalogue() -> Catalogue:
    if not sys.flags.safe_path:
        sys.path.insert(0, "")
    return Catalogue([module for module in (shared_value(MODULES) or "").split(",") if module])


@click.command
@CHALLENGE
@click.option("--agent", required=True, metavar="MODULE:POLICY", help="The agent; `random` is one that acts at random.")
@click.option("--trials", type=click.IntRange(1), help="Number of trials.  [default: the challenge's]")
@click.option("--keep", type=click.Path(path_type=Path), help="A folder to keep the journal in.")
@with_options(MODULES)
def run_trials(challenge: Path, agent: str, trials: int | None, keep: Path | None) -> None:
    """Plays practice trials on this machine, and prints their score. CHALLENGE is a TOML file, or an example's name.

    \b
    Example: gymserve challenge run cartpole --agent random
    """
    catalogue = _catalogue()
    loaded = definition.load(examples.path_of(challenge))
    number = trials or min(phase.trials for phase in loaded.phases)
    line = Progress(loaded.name)

    def progress(trial: int, steps: int) -> None:
        line.update(f"trial {trial} of {number}, {steps} steps")

    try:
        with tempfile.TemporaryDirectory() as scratch:
            make_policy = running.agent(agent)
            result = running.practise(loaded, make_policy, number, keep or Path(scratch), catalogue, progress=progress)
    finally:
        line.end()
    click.echo(tables.result_table(result))


@click.command
@CHALLENGE
@FUNCTION
@click.option("--seconds", type=float, default=20.0, help="How long the random agent may play.")
@with_options(MODULES)
def check(challenge: Path, functions: Sequence[str], seconds: float) -> None:
    """Makes a challenge's environment, replays it, and shows a random agent's scores.

    \b
    Example: python -m gymserve.grader check cartpole
    """
    catalogue = _catalogue()
    loaded = definition.load(examples.path_of(challenge), functions=functions)
    line = Progress(loaded.name)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            findings = checking.check(loaded, Path(scratch), catalogue, seconds=seconds, progress=line.show)
    finally:
        line.end()
    click.echo(checking.summary(findings))


@click.command
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--key", "keys", multiple=True, help="The server's public key, as it publishes it.")
@click.option("--server", "servers", metavar="URL", multiple=True, help="The server, whose key is downloaded.")
@FUNCTION
@click.option("--tolerance", type=float, default=0.0, help="For a journal alone: its challenge's tolerance.")
@click.option("--no-replay", is_flag=True, help="Check the files only.")
@with_options(MODULES, JSON)
def verify(
    file: Path, keys: Sequence[str], servers: Sequence[str], functions: Sequence[str], tolerance: float, no_replay: bool
) -> int:
    """Verifies a bundle, a receipt or a graded instance's journal. The exit status is 0 if it is verified,
    1 if it is refuted, 2 if it cannot be decided here, and 3 if anybody may have signed it.

    \b
    Example: gymserve verify 3f6c2a.zip --server https://challenges.example.org
    """
    try:
        result = offline_check.check(
            file,
            _catalogue(),
            trusted=[*keys, *map(offline_check.published_key, servers)],
            functions=functions,
            tolerance=tolerance,
            replay=not no_replay,
        )
    except (GymserveError, OSError) as error:
        click.echo(error_text(error), err=True)
        return offline_check.CheckStatus.UNDECIDED
    verdict = None if result.verdict is None else vars(result.verdict)
    fields = {"status": result.status.words, "good": result.good, "text": result.text, "verdict": verdict}
    click.echo(json.dumps(fields) if shared_value(JSON) else result.text)
    return result.status


COMMANDS = Group(
    {
        "run": run_trials,
        "check": check,
        "verify": verify,
    },
    help="Practises and checks challenges, and verifies submissions, on this machine.",
    options=(MODULES, JSON),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status."""
    return run(COMMANDS, arguments, name="python -m gymserve.grader", failures=lambda: (GymserveError,))


if __name__ == "__main__":
    sys.exit(main())
