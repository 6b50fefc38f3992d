"""Imports between folders point one way, and libraries are used only in their rooms."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests import ROOT
from tests.shape import floors
from tests.shape.imports import between_folders, circles, imported
from tests.shape.sources import LINKED, PRODUCT, Function, Source, below, sources

ARROWS = floors.table()
MEASURED = {folder or "gym_http_server.py": others for folder, others in between_folders(sources(PRODUCT)).items()}
ONLY_IN = {
    "flask": "gymserve/web",
    "werkzeug": "gymserve/web",
    "gunicorn": "gymserve/web",
    "av": "gymserve/recording/video",
    "minari": "gymserve/recording",
    "obstore": "gymserve/outside",
}
WIRING = {  # file → why it takes the whole settings
    "grader/server/submissions/worker.py": "a process that makes the parts it needs",
    "gymserve/cli/accounts.py": "opens the accounts of a data directory for the commands",
    "gymserve/cli/serve.py": "starts the server",
    "gymserve/cli/train.py": "a sub-command that makes the parts it needs",
    "gymserve/training/scheduling/scheduler.py": "a process that makes the parts it needs",
    "gymserve/web/app.py": "makes the application",
    "gymserve/web/http/backend.py": "makes the parts behind the views, which read single settings",
    "gymserve/web/serving/server.py": "checks and prepares what workers need before they are forked",
}


@pytest.mark.parametrize("folder", sorted(MEASURED))
def test_folders_import_only_as_the_table_allows(folder: str) -> None:
    assert folder in ARROWS, f"{folder} is not in {floors.TABLE.name}"
    assert not MEASURED[folder] - ARROWS[folder], f"{folder} imports what {floors.TABLE.name} does not allow"


def test_the_table_has_no_unneeded_arrow() -> None:
    needless = {folder: others - MEASURED.get(folder, set()) for folder, others in ARROWS.items()}
    assert not {folder: others for folder, others in needless.items() if others}
    assert set(ARROWS) == set(MEASURED)


def test_no_folder_is_above_and_below_another() -> None:
    assert circles(ARROWS) == []


def test_the_client_imports_nothing_of_the_server() -> None:
    for folder in ("client", "client/transport"):
        server = {"client", "client/transport", "gymserve", "gymserve/protocol", "gymserve/protocol/spaces"}
        assert not ARROWS[folder] - server - {"gymserve/system", "gymserve/system/terminal"}, folder
    names = {
        name for source in sources(("client",)) for name in imported(source) if name.startswith("gymserve.system.")
    }
    assert {name.split(".")[2] for name in names} <= {"aliases", "terminal"}


def test_only_views_and_the_command_line_use_the_grader() -> None:
    users = {folder for folder, others in ARROWS.items() if any(below(other, ("grader",)) for other in others)}
    assert all(below(folder, ("grader", "gymserve/web", "gymserve/cli")) for folder in users)


def test_the_graders_pure_half_needs_no_database() -> None:
    for folder in ("grader/challenges", "grader/scores", "grader/proofs", "grader/practice"):
        assert not any(below(other, ("grader/server", "gymserve/store")) for other in ARROWS[folder]), folder


@pytest.mark.parametrize("source", sources(PRODUCT), ids=lambda source: source.path)
def test_libraries_stay_in_their_rooms(source: Source) -> None:
    for name in imported(source):
        place = ONLY_IN.get(name.partition(".")[0])
        assert place is None or below(source.path, (place,)), f"{source.path} imports {name}"


def _takers(source: Source) -> Iterator[str]:
    """The functions and fields that take the whole settings, without constructors `of` that only pick values from them."""
    for node in source.nodes:
        if isinstance(node, Function):
            arguments = [each for each in ast.walk(node.args) if isinstance(each, ast.arg)]
            whole = {each.arg for each in arguments if _is_whole(each.annotation)}
            if whole and not (node.name == "of" and _picks(node, whole)):
                yield node.name
        elif isinstance(node, ast.AnnAssign) and _is_whole(node.annotation):
            yield ast.unparse(node.target)


def _is_whole(annotation: ast.expr | None) -> bool:
    return annotation is not None and re.search(r"\bSettings\b", ast.unparse(annotation)) is not None


def _picks(function: Function, names: set[str]) -> bool:
    """Whether a function only reads attributes of `names`, or hands them to other constructors `of`."""
    nodes = [*ast.walk(function)]
    read = [node.value for node in nodes if isinstance(node, ast.Attribute)]
    calls = [node for node in nodes if isinstance(node, ast.Call) and re.search(r"\bof$", ast.unparse(node.func))]
    allowed = [*read, *(argument for call in calls for argument in call.args)]
    return all(node in allowed for node in nodes if isinstance(node, ast.Name) and node.id in names)


def test_only_the_wiring_takes_the_whole_settings() -> None:
    takers = {
        source.path: [*_takers(source)] for source in sources(PRODUCT) if not below(source.path, ("gymserve/settings",))
    }
    assert {path: names for path, names in takers.items() if names and path not in WIRING} == {}
    assert not [path for path in WIRING if not takers[path]], "these files need not be listed"


def test_slices_have_the_types_of_the_settings() -> None:
    """No type checker sees through `Settings.pick`."""
    nodes = [node for source in sources(PRODUCT) for node in source.nodes]
    fields = {node.name: _fields(node) for node in nodes if isinstance(node, ast.ClassDef)}
    slices = [name for source in sources(PRODUCT) for name in re.findall(r"\.pick\([\w.]*\b([A-Z]\w+)\)", source.text)]
    assert "SupervisorSettings" in slices
    for name in slices:
        for field, kind in fields[name].items():
            if kind in fields:
                slices.append(kind)
            else:
                assert kind == fields["Settings"].get(field.upper()), f"{name}.{field}"


def _fields(definition: ast.ClassDef) -> dict[str, str]:
    return {
        ast.unparse(node.target): ast.unparse(node.annotation)
        for node in definition.body
        if isinstance(node, ast.AnnAssign)
    }


def test_the_package_itself_imports_nothing() -> None:
    (package,) = sources(("gymserve/__init__.py",))
    assert not [*imported(package)]


def test_modules_have_one_name() -> None:
    """`client` and `grader` are names that only a checkout knows."""
    for source in sources():
        assert not [name for name in imported(source) if name.partition(".")[0] in LINKED], source.path


def test_no_code_is_run_from_data() -> None:
    forbidden = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml"}
    for source in sources(PRODUCT):
        assert not {module.partition(".")[0] for module in imported(source)} & forbidden, source.path
        calls = [node for node in source.nodes if isinstance(node, ast.Call)]
        names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
        assert not names & {"eval", "exec", "compile"}, source.path


def test_every_folder_is_in_the_architecture_page() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for folder in ARROWS:
        assert f"`{folder}`" in text or f"`{folder}/`" in text, folder
    assert floors.draw(ARROWS) in text, "python -m tests.shape.floors draws other floors than the page's"
