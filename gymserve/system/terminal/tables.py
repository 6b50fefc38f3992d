"""What commands print: tables for people, JSON for programs."""

import json
import shutil
import sys
from collections.abc import Sequence

import click

from gymserve.system.terminal.commands import JSON, shared_value

MIN_WIDTH = 8  # characters to which a column is shortened at most


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table that fits the terminal; with `--json`, a list of objects with a member per column."""
    if shared_value(JSON):
        click.echo(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], default=str))
        return
    texts = [[column.upper().replace("_", " ") for column in columns], *([_text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[at]) for row in texts) for at in range(len(columns))]
    if sys.stdout.isatty():
        while sum(widths) + 2 * len(widths) > shutil.get_terminal_size().columns and max(widths) > MIN_WIDTH:
            widths[widths.index(max(widths))] -= 1
    for row in texts:
        click.echo("  ".join(_fit(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_fields(fields: dict[str, object]) -> None:
    """Prints names and values, one a line; with `--json`, an object."""
    if shared_value(JSON):
        click.echo(json.dumps(fields, default=str))
        return
    width = max(map(len, fields))
    for name, value in fields.items():
        click.echo(f"{name.replace('_', ' '):{width}}  {_text(value)}".rstrip())


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return f"{cell:g}" if isinstance(cell, float) else str(cell)


def _fit(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"
