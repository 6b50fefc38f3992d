"""Arrows between rooms point one way, and libraries stay in their rooms."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

MAY_IMPORT = {
    "gymserve.errors": set(),
    "gymserve.old_settings": set(),
    "gymserve.machine": set(),
    "gymserve.outside": {"errors"},
    "gymserve.variables": set(),
    "gymserve.settings": {"old_settings", "variables", "errors"},
    "gymserve.wire": {"errors"},
    "gymserve.compression": {"errors"},
    "gymserve.spaces": {"errors"},
    "gymserve.environments": {"spaces", "settings", "errors"},
    "gymserve.journal": {"spaces", "wire", "errors"},
    "gymserve.rates": {"errors"},
    "gymserve.logs": {"settings"},
    "gymserve.background": {"logs", "settings"},
    "gymserve.bucket": {"settings", "errors"},
    "gymserve.store": {"errors"},
    "gymserve.accounts": {"store", "rates", "settings", "errors"},
    "gymserve.training": {
        "background",
        "bucket",
        "outside",
        "recording",
        "hosts",
        "environments",
        "journal",
        "spaces",
        "store",
        "logs",
        "settings",
        "errors",
    },
    "gymserve.commands": {"accounts", "training", "store", "settings", "errors"},
    "gymserve.hosts": {
        "environments",
        "journal",
        "spaces",
        "wire",
        "compression",
        "rates",
        "logs",
        "settings",
        "errors",
    },
    "gymserve.recording": {
        "background",
        "bucket",
        "hosts",
        "environments",
        "journal",
        "spaces",
        "wire",
        "logs",
        "settings",
        "errors",
    },
    "grader": {
        "background",
        "accounts",
        "outside",
        "recording",
        "hosts",
        "environments",
        "journal",
        "store",
        "spaces",
        "wire",
        "logs",
        "settings",
        "errors",
    },
    "gymserve.web": {
        "recording",
        "hosts",
        "environments",
        "journal",
        "accounts",
        "training",
        "store",
        "spaces",
        "wire",
        "machine",
        "rates",
        "logs",
        "settings",
        "errors",
    },
    "client": {"spaces", "wire", "compression", "errors"},
}
ONLY_IN = {
    "flask": "gymserve.web",
    "werkzeug": "gymserve.web",
    "gunicorn": "gymserve.web",
    "av": "gymserve.recording",
    "minari": "gymserve.recording",
    "obstore": "gymserve.bucket",
}


def room(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:2]) if parts[0] == "gymserve" else parts[0]


def imported(path: Path) -> set[str]:
    """Every module that a file imports, deferred imports included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = [path for folder in ("gymserve", "grader", "client") for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_only_what_stands_in_the_table(path: Path) -> None:
    own = room(path)
    if own == "gymserve.__init__":
        assert not imported(path)
        return
    for module in imported(path):
        top, _, rest = module.partition(".")
        if top == "gymserve":
            other = rest.partition(".")[0]
            allowed = MAY_IMPORT[own] | {own.rpartition(".")[2], ""}  # "": the package, for its version
            assert other in allowed, f"{own} imports gymserve.{other}"
        elif top in ONLY_IN:
            assert own == ONLY_IN[top], f"{own} imports {top}"
        assert top != "client" or own == "client"
        assert top != "grader" or own in ("grader", "gymserve.web", "gymserve.commands"), f"{own} imports grader"


def test_no_code_is_run_from_data() -> None:
    forbidden = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml"}
    for path in FILES:
        assert not {module.partition(".")[0] for module in imported(path)} & forbidden, path
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
        assert not names & {"eval", "exec", "compile"}, path


def test_every_room_is_in_the_architecture_page() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for name in MAY_IMPORT:
        assert name.rpartition(".")[2] in text, name
