"""The rules of `python -m tests.shape`."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from tests.shape.imports import between_folders, between_modules, circles
from tests.shape.sources import PRODUCT, Source, below, length, parameters, sources, tracked

FILE_LINES, FUNCTION_LINES, FOLDER_NAMES, PARAMETERS = 350, 60, 16, 7
RELEASED = ("gymserve/store/migrations/versions",)  # migrations that have run somewhere must not change
PARTICIPLES = {"asked", "told", "found", "held", "given", "mine"}  # name the thing instead: params, payload, challenge
METAPHORS = {
    "Answerer", "answering", "Artefacts", "artefact", "artefacts", "desk", "Desk", "Door", "door", "film",
    "Film", "films", "Leap", "leap", "Order", "orders", "Orders", "pace", "Pace", "Paces", "paces", "placements",
    "Placements", "prepared", "Prepared", "proving", "reel", "shelf", "Shelf", "spare", "Spare", "Take", "take", "takes",
    "taking", "tally", "Tally", "wish", "Wish", "wishes", "Wishes",
}  # fmt: skip
MORE_PARAMETERS = {  # beside self; only these functions may have more than PARAMETERS
    "client/aio.py make": 10,  # the options of an environment, as of `gymnasium.make`
    "client/environment.py __init__": 8,  # the same
    "client/vector.py __init__": 10,  # the same, and those of copies
    "client/async_vector.py __init__": 11,  # those, and the size of what recv returns
    "gymserve/hosts/pool/instances.py step": 8,  # who steps what, and in which encoding
    "gymserve/hosts/supervisor/forking.py _become_host": 9,  # everything that a new process has from its parent
}
NO_REASONS_YET = (  # rooms whose `Any` need no comment
    "client", "gymserve/cli", "gymserve/hosts", "gymserve/settings", "gymserve/store", "gymserve/web/instances",
    "gymserve/web/serving", "gym_http_server.py",
)  # fmt: skip
_HEADING = re.compile(r"\s*(?:Args|Raises|Returns|Yields):")


class Finding(NamedTuple):
    """A violation of a rule.

    Args:
        rule: its name.
        place: the file or folder.
        text: the message.
    """

    rule: str
    place: str
    text: str


def findings(places: tuple[str, ...]) -> Iterator[Finding]:
    """All violations in `places`."""
    for source in sources(places):
        yield from of_source(source)
    yield from _folders(places)
    yield from _circles(places)


def of_source(source: Source) -> Iterator[Finding]:
    """The violations in one file."""
    yield from _sizes(source)
    yield from _names(source)
    yield from _docstrings(source)
    yield from _types(source)


def _sizes(source: Source) -> Iterator[Finding]:
    if below(source.path, RELEASED):
        return
    if source.lines > FILE_LINES:
        yield Finding("files", source.path, f"has {source.lines} lines, more than {FILE_LINES}")
    for function in source.functions:
        if length(function) > FUNCTION_LINES:
            text = f":{function.lineno} {function.name} has {length(function)} lines, more than {FUNCTION_LINES}"
            yield Finding("functions", source.path, text)
        number, most = parameters(function), MORE_PARAMETERS.get(f"{source.path} {function.name}", PARAMETERS)
        if number > most:
            text = f":{function.lineno} {function.name} has {number} parameters, more than {most}"
            yield Finding("parameters", source.path, text)


def bound_names(source: Source) -> Iterator[tuple[int, str]]:
    """(line, name) of everything that a file names."""
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.lineno, node.asname
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            yield node.lineno, node.name


def _names(source: Source) -> Iterator[Finding]:
    own = source.module.rpartition(".")[2]
    for line, name in [(1, own), *sorted(set(bound_names(source)))]:
        bare = name.strip("_")
        if bare.lower() in PARTICIPLES or bare in METAPHORS:
            yield Finding("names", source.path, f":{line} the name {name} is banned")


def _docstrings(source: Source) -> Iterator[Finding]:
    for node in source.nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node, clean=False)
            if text and _HEADING.match(text):
                line = node.body[0].lineno
                yield Finding("docstrings", source.path, f":{line} a docstring opens with {text.split()[0]}")


def _types(source: Source) -> Iterator[Finding]:
    """Each `Any` has its reason: in a comment on its line or the line above, or in the docstring of an alias."""
    if not below(source.path, PRODUCT) or below(source.path, NO_REASONS_YET):
        return
    lines = ["", *source.text.splitlines(), ""]
    for line in sorted({node.lineno for node in source.nodes if isinstance(node, ast.Name) and node.id == "Any"}):
        if not ("#" in lines[line] or lines[line - 1].lstrip().startswith("#") or lines[line + 1].startswith('"""')):
            yield Finding(
                "types", source.path, f":{line} Any has no reason: name the type, or say in a comment why not"
            )


def _folders(places: tuple[str, ...]) -> Iterator[Finding]:
    shown: dict[str, set[str]] = defaultdict(set)
    for path in tracked():
        *folders, name = path.split("/")
        for depth, below_it in enumerate([*folders[1:], name], 1):
            shown["/".join(folders[:depth])].add(below_it)
    for folder, names in sorted(shown.items()):  # the root has the names that tools expect there
        number = len(names - {"__init__.py"})
        if number > FOLDER_NAMES and folder and below(folder, places):
            yield Finding("folders", folder, f"shows {number} names, more than {FOLDER_NAMES}")


def _circles(places: tuple[str, ...]) -> Iterator[Finding]:
    product = sources(PRODUCT)
    files = {source.module: source.path for source in product}
    for arrows in (between_modules(product), between_folders(product)):
        for circle in circles(arrows):
            paths = [each if "/" in each else files[each] for each in circle]
            if any(below(path, places) for path in paths):
                yield Finding("circles", paths[0], f"imports in a circle: {', '.join(circle)}")
