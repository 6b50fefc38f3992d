"""The grader's command line: practise a challenge, check one before it opens, verify a submission.

python -m grader run CHALLENGE.toml --agent module:policy --trials 10
python -m grader check CHALLENGE.toml
python -m grader verify FILE
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from gymserve.system import imports, interpreters

if __name__ == "__main__":
    interpreters.become_alike()  # before anything else is imported

from grader.challenges import definition, examples
from grader.practice import checking, running
from grader.proofs import proving, tables
from gymserve.environments import Catalogue
from gymserve.environments.foreign import error_text
from gymserve.protocol.errors import GymserveError
from gymserve.system.progress import Progress


def main(arguments: list[str] | None = None) -> int:
    """0: done, or verified; otherwise see `proving.Status`; 2 also: it cannot be done, for the reason that is printed."""
    imports.freeze()
    parser = argparse.ArgumentParser(prog="python -m grader", description=__doc__.partition("\n")[0])
    parser.add_argument("--modules", default="", help="modules, with commas, that register environments")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="play practice trials here, and print what they would score")
    run.add_argument("challenge", type=Path, help="a TOML file, or the name of an example that ships")
    run.add_argument("--agent", required=True, help="module:policy, or random")
    run.add_argument("--trials", type=int, help="how many (default: as many as the challenge has)")
    run.add_argument("--keep", type=Path, help="a folder to keep the journal in")
    check = commands.add_parser("check", help="make the environment, replay it, and show a random agent's scores")
    check.add_argument("challenge", type=Path, help="the same")
    check.add_argument("--function", action="append", default=[], help="a scoring function that may be imported")
    check.add_argument("--seconds", type=float, default=20.0, help="how long the random agent may play (default: 20)")
    verify = commands.add_parser("verify", help="verify a bundle, a receipt or a graded instance's journal")
    verify.add_argument("file", type=Path)
    verify.add_argument("--key", action="append", default=[], help="the server's public key, as it publishes it")
    verify.add_argument("--server", action="append", default=[], help="the server's address, whose key is asked for")
    verify.add_argument("--function", action="append", default=[], help="a scoring function that may be imported")
    verify.add_argument("--tolerance", type=float, default=0.0, help="for a journal alone: what its challenge allows")
    verify.add_argument("--no-replay", action="store_true", help="check the files only")
    verify.add_argument("--json", action="store_true", help="for programs: what was found, as JSON")
    asked = parser.parse_args(arguments)
    if not sys.flags.safe_path:
        sys.path.insert(0, "")
    try:
        catalogue = Catalogue([module for module in asked.modules.split(",") if module])
        return {"run": _run, "check": _check, "verify": _verify}[asked.command](asked, catalogue)
    except (GymserveError, OSError) as error:
        print(error_text(error), file=sys.stderr)
        return 2


def _run(asked: argparse.Namespace, catalogue: Catalogue) -> int:
    challenge = definition.load(examples.path_of(asked.challenge))
    number = asked.trials or min(phase.trials for phase in challenge.phases)
    shown = Progress(challenge.name)

    def progress(trial: int, steps: int) -> None:
        shown.update(f"trial {trial} of {number}, {steps} steps")

    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        made = running.agent(asked.agent)
        result = running.practise(challenge, made, number, folder, catalogue, progress=progress)
    shown.end()
    print(tables.of_result(result))
    return 0


def _check(asked: argparse.Namespace, catalogue: Catalogue) -> int:
    challenge = definition.load(examples.path_of(asked.challenge), functions=asked.function)
    with tempfile.TemporaryDirectory() as scratch:
        print(checking.summary(checking.check(challenge, Path(scratch), catalogue, seconds=asked.seconds)))
    return 0


def _verify(asked: argparse.Namespace, catalogue: Catalogue) -> int:
    proof = proving.prove(
        asked.file,
        catalogue,
        trusted=[*asked.key, *map(proving.published_key, asked.server)],
        functions=asked.function,
        tolerance=asked.tolerance,
        replay=not asked.no_replay,
    )
    verdict = None if proof.verdict is None else vars(proof.verdict)
    told = {"status": proof.status.words, "good": proof.good, "text": proof.text, "verdict": verdict}
    print(json.dumps(told) if asked.json else proof.text)
    return proof.status


if __name__ == "__main__":
    sys.exit(main())
