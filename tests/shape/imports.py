"""Imports between our modules or their folders, as arrows, and the circles that they form."""

import ast
from collections.abc import Iterator, Mapping

from tests.shape.sources import Source

Arrows = dict[str, set[str]]


def imported(source: Source, *, deferred: bool = True) -> Iterator[str]:
    """The dotted names that a file imports, including names from modules.

    Args:
        deferred: include imports in functions and under `if TYPE_CHECKING`.
    """
    nodes = source.nodes if deferred else source.tree.body
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source.path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def between_modules(files: list[Source], *, deferred: bool = True) -> Arrows:
    """Module → the modules of `files` that it imports."""
    known = {source.module for source in files}
    return {
        source.module: {owner for name in imported(source, deferred=deferred) if (owner := _owner(name, known))}
        - {source.module}
        for source in files
    }


def between_folders(files: list[Source]) -> Arrows:
    """Folder, with slashes → the other folders that its files import from."""
    folders = {source.module: source.path.rpartition("/")[0] for source in files}
    arrows: Arrows = {folder: set() for folder in folders.values()}
    for module, others in between_modules(files).items():
        arrows[folders[module]] |= {folders[other] for other in others} - {folders[module]}
    return arrows


def _owner(name: str, known: set[str]) -> str:
    """The module that `name` is or belongs to; "" if it is not ours."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of names in which each name reaches all others."""
    reached = {name: _reached(name, arrows) for name in arrows}
    groups = {tuple(sorted(other for other in reached[name] if name in reached[other])) for name in arrows}
    return [list(group) for group in sorted(groups) if len(group) > 1]


def _reached(start: str, arrows: Mapping[str, set[str]]) -> set[str]:
    reached, waiting = {start}, [start]
    while waiting:
        for other in arrows.get(waiting.pop(), set()) - reached:
            reached.add(other)
            waiting.append(other)
    return reached
