"""`python -m gymserve.journal show FILE`: prints a journal, one record a line."""

import argparse
import os
import sys
from pathlib import Path

from gymserve.journal.file import read
from gymserve.journal.records import Reset, Step


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m gymserve.journal", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="print a journal, one record a line")
    show.add_argument("file", type=Path, help="the journal, or the folder of its instance")
    path = parser.parse_args().file
    try:
        _show(path / "journal" if path.is_dir() else path)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does; avoids another error at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    return 0


def _show(path: Path) -> None:
    move = 0
    for record in read(path):
        name = type(record).__name__.lower()
        fields = record._asdict()
        if isinstance(record, (Reset, Step)):
            move += 1
            name = f"{move:>8} {name}"
            fields["digest"] = f"{record.digest:016x}"
            fields.pop("generators", None)
        print(f"{name:<16}", " ".join(f"{key}={value}" for key, value in fields.items() if value is not None))


if __name__ == "__main__":
    sys.exit(main())
