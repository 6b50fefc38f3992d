"""The repository's files, and the syntax trees of its Python files."""

import ast
import functools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from tests import ROOT

PRODUCT = ("gymserve", "grader", "client", "gym_http_server.py")
LINKED = ("client", "grader")  # folders whose modules are in `gymserve`, by symbolic links
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """A Python file.

    Args:
        path: relative to the repository's root, with slashes.
    """

    path: str
    text: str

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @functools.cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @property
    def module(self) -> str:
        """The module's dotted name."""
        name = self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        return f"gymserve.{name}" if name.partition(".")[0] in LINKED else name

    @property
    def functions(self) -> Iterator[Function]:
        return (node for node in self.nodes if isinstance(node, Function))


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def parameters(function: Function) -> int:
    """The number of parameters, without `self`, `cls`, `*args` and `**kwargs`."""
    names = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len([each for each in names if each.arg not in ("self", "cls")])


@functools.cache
def tracked() -> list[str]:
    """The paths of all files that are committed or not ignored, without vendored ones."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split("\0") if name and "/vendor/" not in name and not name.startswith(".venv")]
    return sorted(name for name in names if (ROOT / name).exists())


def below(path: str, places: tuple[str, ...]) -> bool:
    """Whether `path` is one of `places` or is inside one."""
    return any(path == place or path.startswith(f"{place}/") or place == "." for place in places)


@functools.cache
def sources(places: tuple[str, ...] = (".",)) -> list[Source]:
    """The Python files in `places`."""
    paths = [path for path in tracked() if path.endswith(".py") and below(path, places)]
    return [Source(path, (ROOT / path).read_text()) for path in paths if not (ROOT / path).is_symlink()]
