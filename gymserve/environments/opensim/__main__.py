"""`python -m gymserve.environments.opensim`: fetches the OpenSim models, and lists the names of observations' entries."""

import argparse
import sys
from pathlib import Path

from gymserve.environments.opensim import names
from gymserve.environments.opensim.physics import models

NOTICE = """\
The models are licensed CC BY 3.0 (https://creativecommons.org/licenses/by/3.0/). Their authors are named in the
<credits> of each file; if you publish results obtained with them, cite what <publications> lists."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog=models.FETCH.rpartition(" ")[0], description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    fetch = commands.add_parser("fetch", help=f"download {models.RELEASE} with pip and keep its models")
    fetch.add_argument("archive", nargs="?", type=Path, help=f"{models.RELEASE}.tar.gz, if it is already downloaded")
    commands.add_parser(
        "names", help="print the name of every entry of every observation: docs/environments/opensim-observations.md"
    )
    options = parser.parse_args(arguments)
    if options.command == "names":
        print(names.page(), end="")
        return 0
    try:
        print(f"{models.fetch(options.archive)}\n{NOTICE}")
    except (OSError, ValueError) as error:
        print(f"the models cannot be fetched: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
