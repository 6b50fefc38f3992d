"""`python -m tests.shape [FOLDER …]`: prints sizes, import circles and violations of the rules; exits with 1 if there are any.

Without folders it checks everything.
"""

import argparse
import statistics
import sys

from tests.shape import rules
from tests.shape.imports import between_modules, circles
from tests.shape.sources import PRODUCT, length, parameters, sources


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
    findings = sorted(rules.findings(places or (".",)))
    for each in findings:
        print(f"{each.place}{each.text if each.text[0] == ':' else ' ' + each.text}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
