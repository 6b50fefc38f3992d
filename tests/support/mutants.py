"""Mutation tests: scripts/mutate PATH changes code in one place at a time and lists the changes that no test notices.

Cosmic Ray makes the mutants. A fixed seed draws a random sample of them: one in each place, then a second one, and so on.
Mutants that behave like the original by construction are left out: changed annotations, log texts and `__main__` guards, `is`
instead of `==`, and whether a parameter can be passed by position. Docstrings are never changed. Mutants that a reader judged
equivalent are listed in `mutants.toml`, each with the reason, and are not run. The tests run in a copy of the checkout.
"""

import argparse
import ast
import difflib
import functools
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.ast.ast_query import ASTQuery
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parent.parent.parent
EQUIVALENT = Path(__file__).with_suffix(".toml")
SEED = 14
# A mutant may signal any process by mistake, so it sees only the tests' own. Bash reaps their orphans.
ALONE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", '"$@"; exit $?', "bash")
FAR = 2  # the distance of a test file from a module that it does not import


class Mutant(NamedTuple):
    """One change of one file."""

    file: str  # below the checkout
    position: tuple[int, int]  # line and column
    function: str  # the innermost function or class, "" in none
    operator: str
    occurrence: int

    def apply(self, source: str) -> str:
        """The file's text with the change."""
        return mutate_code(source, get_operator(self.operator)(), self.occurrence) or source

    def key(self, source: str) -> tuple[str, str, str]:
        """An identity that is stable while other lines change: file, function, and the changed lines before and after."""
        lines = [line for line in self.diff(source) if line[:1] in "-+" and line[:3] not in ("---", "+++")]
        before, after = (" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
        return self.file, self.function, f"{before} -> {after}"

    def diff(self, source: str) -> list[str]:
        texts = source.splitlines(), self.apply(source).splitlines()
        return list(difflib.unified_diff(*texts, self.file, self.file, lineterm="", n=2))


class _Meaning(ast.NodeTransformer):
    """Removes everything from a syntax tree that no test can notice."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        node.args = node.posonlyargs + node.args + node.kwonlyargs
        node.defaults += [each for each in node.kw_defaults if each]
        node.posonlyargs, node.kwonlyargs, node.kw_defaults = [], [], []
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST:
        return ast.Pass() if "__main__" in ast.unparse(node.test) else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if re.search(r"\b(log|getLogger\(.*\))\.\w+$", ast.unparse(node.func)):
            node.args = node.keywords = []
        return self.generic_visit(node)

    def visit_Is(self, _: ast.Is) -> ast.AST:
        return ast.Eq()

    def visit_IsNot(self, _: ast.IsNot) -> ast.AST:
        return ast.NotEq()


@functools.cache
def meaning(source: str) -> str:
    """A text that is equal for sources that behave the same; "" for invalid Python, or if Python warns of `is`."""
    try:
        with warnings.catch_warnings(action="error"):
            compile(source, "", "exec")
        return ast.dump(_Meaning().visit(ast.parse(source)))
    except SyntaxError:
        return ""


def mutants(file: str) -> Iterator[Mutant]:
    """All mutants that Cosmic Ray can make of a file."""
    nodes = list(ast_nodes(get_ast((ROOT / file).read_text())))
    for name in operator_names():
        kind: type[Operator] = get_operator(name)
        if kind.arguments():
            continue
        positions = ((node, start) for node in nodes for start, _ in kind().mutation_positions(node))
        for occurrence, (node, start) in enumerate(positions):
            yield Mutant(file, start, ASTQuery(node).get_definition_name() or "", name, occurrence)


def draw_sample(path: str, count: int) -> list[Mutant]:
    """A random sample of a file's or folder's mutants; always the same."""
    files = (
        [path] if path.endswith(".py") else sorted(str(each.relative_to(ROOT)) for each in (ROOT / path).rglob("*.py"))
    )
    shuffled = [mutant for file in files for mutant in mutants(file)]
    random.Random(SEED).shuffle(shuffled)
    places: Counter[tuple[str, tuple[int, int]]] = Counter()
    rounds = []
    for mutant in shuffled:
        rounds.append(places[mutant[:2]])
        places[mutant[:2]] += 1
    sample: list[Mutant] = []
    for _, mutant in sorted(zip(rounds, shuffled, strict=True), key=lambda each: each[0]):
        source = (ROOT / mutant.file).read_text()
        if meaning(mutant.apply(source)) not in ("", meaning(source)):
            sample.append(mutant)
        if len(sample) == count:
            break
    return sample


class Checkout:
    """A copy of the checkout, in which tests run."""

    def __init__(self, folder: Path, python: str, tests: list[str]) -> None:
        self.root, self.log = folder / "checkout", folder / "log"
        listed = subprocess.check_output(["git", "ls-files", "-zco", "--exclude-standard"], cwd=ROOT, text=True)
        for name in set(listed.split("\0")) - {"", ".venv"}:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, self.root / name, follow_symlinks=False)
        (self.root / ".venv").symlink_to((ROOT / ".venv").resolve())
        command = [
            ALONE[0],
            *(["--map-root-user"] if os.geteuid() else []),
            *ALONE[1:],
            python,
            "-m",
            "tests.support.forks",
            str(self.log),
            *tests,
        ]
        self.forks = subprocess.Popen(command, cwd=self.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def write(self, file: str, text: str) -> None:
        """Replaces a file, and deletes its compiled form, which Python might not recognize as outdated."""
        (self.root / file).write_text(text)
        for compiled in (self.root / file).parent.glob(f"__pycache__/{Path(file).stem}.*.pyc"):
            compiled.unlink()

    def test(self, tests: list[str], limit: float | None, *arguments: str) -> str:
        """Runs test files in this order up to the first failure, and names it; "" if there is none."""
        request = [["-x", "-q", "--tb=no", *arguments, *tests], str(self.log), limit]
        print(json.dumps(request), file=self.forks.stdin, flush=True)
        code = json.loads(self.forks.stdout.readline())
        if code is None:
            return f"the limit of {limit:.0f} s"
        lines = self.log.read_text().splitlines()
        failed = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
        return "" if code == 0 else (failed or lines or [f"exit code {code}"])[-1]

    def seconds(self) -> dict[str, float]:
        """The duration of each test file in the last run."""
        seconds: dict[str, float] = defaultdict(float)
        for name, spent in json.loads((self.root / ".pytest_cache/v/tests/costs").read_text())["tests"].items():
            seconds[name.partition("::")[0]] += spent
        return seconds


def distance(seconds: dict[str, float], file: str) -> Callable[[str], tuple[int, float]]:
    """The sort key of test files: those of this file, those that import it, then the others; the fastest first."""
    stem = Path(file).stem

    def key(test: str) -> tuple[int, float]:
        imported = re.search(rf"\bimport\b.*\b{stem}\b|\bfrom \S*\b{stem} import", (ROOT / test).read_text())
        return (0 if Path(test).stem.startswith(f"test_{stem}") else 1 if imported else FAR), seconds[test]

    return key


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/mutate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "path", help="a room, for example gymserve/journal, or one of its files; the tests are those of tests/journal"
    )
    parser.add_argument(
        "numbers", nargs="*", type=int, help="run only these mutants of the sample, by their numbers in an earlier run"
    )
    parser.add_argument("--count", type=int, default=100, help="size of the sample (100)")
    parser.add_argument(
        "--near", action="store_true", help="run only tests that name or import the changed file, for a first look"
    )
    parser.add_argument("--python", default=str(ROOT / ".venv/bin/python"), help="the interpreter that runs the tests")
    parser.add_argument("--tests", nargs="+", help="the tests to run, if not all of the room")
    options = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        return run(options, Path(folder))


def run(options: argparse.Namespace, folder: Path) -> int:
    """Runs a sample and prints the outcome of each mutant."""
    rooms = (f"tests/{part}" for part in Path(options.path).parts if (ROOT / "tests" / part).is_dir())
    chosen = options.tests or [next(rooms)]
    checkout = Checkout(folder, options.python, chosen)
    began = time.monotonic()
    if failure := checkout.test(chosen, None):
        sys.exit(f"the tests fail without a mutant: {failure}")
    limit = 60 + 3 * (time.monotonic() - began)
    seconds = checkout.seconds()
    known = {
        (each["file"], each["function"], each["mutation"])
        for each in tomllib.loads(EQUIVALENT.read_text()).get("equivalent", [])
    }
    counts = Counter(killed=0, alive=0, equivalent=0)
    sample = draw_sample(options.path, options.count)
    for number, mutant in enumerate(sample, 1):
        if options.numbers and number not in options.numbers:
            continue
        source = (ROOT / mutant.file).read_text()
        began = time.monotonic()
        killer = ""
        if mutant.key(source) in known:
            outcome = "equivalent"
        else:
            checkout.write(mutant.file, mutant.apply(source))
            nearness = distance(seconds, mutant.file)
            near = [test for test in seconds if nearness(test)[0] < FAR] if options.near else []
            tests = sorted(near or seconds, key=nearness)
            killer = checkout.test(tests, limit, "-p", "no:cacheprovider")
            checkout.write(mutant.file, source)
            outcome = "killed" if killer else "alive"
        counts[outcome] += 1
        place = f"{mutant.file}:{mutant.position[0]} {mutant.function}"
        print(f"{number}/{len(sample)} {outcome} {time.monotonic() - began:.0f} s {place} {killer}", flush=True)
        if outcome == "alive":
            names = zip(("file", "function", "mutation"), mutant.key(source), strict=True)
            entry = [f"{name} = {json.dumps(value)}" for name, value in names]
            print(*mutant.diff(source), "[[equivalent]]", *entry, sep="\n", flush=True)
    print(f"{options.path}: {', '.join(f'{count} {outcome}' for outcome, count in counts.items())}")
    return 1 if counts["alive"] else 0


if __name__ == "__main__":
    sys.exit(main())
