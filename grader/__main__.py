"""The grader's command line: practise a challenge, check it before it opens, verify a submission.

python -m gymserve.grader run CHALLENGE.toml --agent module:policy --trials 10
python -m gymserve.grader check CHALLENGE.toml
python -m gymserve.grader verify FILE
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from gymserve.system import imports, interpreters

if __name__ == "__main__":
    interpreters.reexecute_alike()  # before any other import

from gymserve.environments import Catalogue
from gymserve.environments.foreign import error_text
from gymserve.grader.challenges import definition, examples
from gymserve.grader.practice import checking, running
from gymserve.grader.proofs import offline_check, tables
from gymserve.protocol.errors import GymserveError
from gymserve.system.progress import Progress


def main(arguments: list[str] | None = None) -> int:
    """Runs a command and returns its exit status: 0 on success, 2 with the reason on stderr on failure.

    `verify` returns an `offline_check.CheckStatus`.
    """
    imports.freeze()
    parser = argparse.ArgumentParser(prog="python -m gymserve.grader", description=__doc__.partition("\n")[0])
    parser.add_argument("--modules", default="", help="comma-separated modules that register environments")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="play practice trials on this machine and print their score")
    run.add_argument("challenge", type=Path, help="a TOML file, or the name of an example")
    run.add_argument("--agent", required=True, help="module:policy, or random")
    run.add_argument("--trials", type=int, help="number of trials (default: the challenge's)")
    run.add_argument("--keep", type=Path, help="a folder to keep the journal in")
    check = commands.add_parser("check", help="create the environment, replay it, and show a random agent's scores")
    check.add_argument("challenge", type=Path, help="a TOML file, or the name of an example")
    check.add_argument("--function", action="append", default=[], help="a scoring function that may be imported")
    check.add_argument("--seconds", type=float, default=20.0, help="how long the random agent may play (default: 20)")
    verify = commands.add_parser("verify", help="verify a bundle, a receipt or a graded instance's journal")
    verify.add_argument("file", type=Path)
    verify.add_argument("--key", action="append", default=[], help="the server's public key, as it publishes it")
    verify.add_argument("--server", action="append", default=[], help="the URL of the server, whose key is downloaded")
    verify.add_argument("--function", action="append", default=[], help="a scoring function that may be imported")
    verify.add_argument("--tolerance", type=float, default=0.0, help="for a journal alone: its challenge's tolerance")
    verify.add_argument("--no-replay", action="store_true", help="check the files only")
    verify.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    if not sys.flags.safe_path:
        sys.path.insert(0, "")
    try:
        catalogue = Catalogue([module for module in options.modules.split(",") if module])
        return {"run": _run, "check": _check, "verify": _verify}[options.command](options, catalogue)
    except (GymserveError, OSError) as error:
        print(error_text(error), file=sys.stderr)
        return 2


def _run(options: argparse.Namespace, catalogue: Catalogue) -> int:
    challenge = definition.load(examples.path_of(options.challenge))
    number = options.trials or min(phase.trials for phase in challenge.phases)
    line = Progress(challenge.name)

    def progress(trial: int, steps: int) -> None:
        line.update(f"trial {trial} of {number}, {steps} steps")

    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        make_policy = running.agent(options.agent)
        result = running.practise(challenge, make_policy, number, folder, catalogue, progress=progress)
    line.end()
    print(tables.result_table(result))
    return 0


def _check(options: argparse.Namespace, catalogue: Catalogue) -> int:
    challenge = definition.load(examples.path_of(options.challenge), functions=options.function)
    with tempfile.TemporaryDirectory() as scratch:
        print(checking.summary(checking.check(challenge, Path(scratch), catalogue, seconds=options.seconds)))
    return 0


def _verify(options: argparse.Namespace, catalogue: Catalogue) -> int:
    result = offline_check.check(
        options.file,
        catalogue,
        trusted=[*options.key, *map(offline_check.published_key, options.server)],
        functions=options.function,
        tolerance=options.tolerance,
        replay=not options.no_replay,
    )
    verdict = None if result.verdict is None else vars(result.verdict)
    fields = {"status": result.status.words, "good": result.good, "text": result.text, "verdict": verdict}
    print(json.dumps(fields) if options.json else result.text)
    return result.status


if __name__ == "__main__":
    sys.exit(main())
