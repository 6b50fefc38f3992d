"""Imports between folders point one way, and libraries are used only in their rooms."""

import ast

import pytest

from tests import ROOT
from tests.shape import floors
from tests.shape.imports import between_folders, circles, imported
from tests.shape.sources import LINKED, PRODUCT, Source, below, sources

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
