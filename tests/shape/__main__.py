"""`python -m tests.shape [FOLDER …]`: prints sizes, import circles and violations of the rules; exits with 1 if there are any.

Without folders it checks everything, except for the exceptions in `allowed.toml`; with folders, everything in these.
"""

import argparse
import statistics
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from tests.shape import rules
from tests.shape.imports import between_modules, circles
from tests.shape.rules import Finding
from tests.shape.sources import PRODUCT, below, length, parameters, sources

ALLOWED = Path(__file__).parent / "allowed.toml"


def row(places: tuple[str, ...]) -> str:
    """The figures of the Python files in `places`, as a row of a table."""
    files = sources(places)
    lines = [file.lines for file in files]
    functions = [function for file in files for function in file.functions]
    lengths = [length(function) for function in functions]
    long = sum(each > 40 for each in lengths)
    counts = [parameters(function) for function in functions]
    numbers = [len(circles(between_modules(files, deferred=deferred))) for deferred in (False, True)]
    cells = (
        f"{len(files)} / {sum(lines) / 1000:.1f}k",
        f"{statistics.median(lines):.0f} / {max(lines)}",
        f"{statistics.median(lengths):.0f} / {statistics.mean(lengths):.1f} / {max(lengths)}" if lengths else "–",
        f"{long} ({100 * long / max(1, len(lengths)):.1f} %)",
        f"{max(counts, default=0)}; {100 * sum(each > 5 for each in counts) / max(1, len(counts)):.1f} %",
        f"{numbers[0]} / {numbers[1]}",
    )
    return " | ".join(cells)


def refused(findings: Iterable[Finding], allowed: dict[str, list[str]]) -> list[Finding]:
    """The findings without an exception in `allowed`, rule → files and folders."""
    return [each for each in findings if not below(each.place, tuple(allowed.get(each.rule, ())))]


def superfluous(findings: Iterable[Finding], allowed: dict[str, list[str]]) -> list[str]:
    """Exceptions in `allowed` that are not needed any more."""
    places = {(each.rule, each.place) for each in findings}
    return [
        f"{rule}: {entry}"
        for rule, entries in allowed.items()
        for entry in entries
        if not any(rule == other and below(place, (entry,)) for other, place in places)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.shape", description=__doc__)
    parser.add_argument("places", nargs="*", metavar="FOLDER", help="a folder or a file; by default everything")
    places = tuple(place.rstrip("/") for place in parser.parse_args().places)
    shown = places or PRODUCT
    if not sources(shown):
        parser.error(f"there is no Python file below {', '.join(shown)}")
    print("files / lines | file median / max | function median / mean / max | functions > 40 lines | ", end="")
    print("most parameters; share > 5 | import circles top / deferred")
    print(row(shown))
    allowed = {} if places else tomllib.loads(ALLOWED.read_text())
    findings = sorted(rules.findings(places or (".",)))
    violations = [
        f"{each.place}{each.text if each.text[0] == ':' else ' ' + each.text}" for each in refused(findings, allowed)
    ]
    violations += [
        f"tests/shape/allowed.toml has an exception that is not needed: {entry}"
        for entry in superfluous(findings, allowed)
    ]
    for line in violations:
        print(line)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
