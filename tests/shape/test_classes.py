"""No two public classes of the product have the same name, apart from those that server and client share on purpose."""

import ast
from collections import defaultdict
from collections.abc import Iterable

from tests.shape.sources import PRODUCT, Source, sources

SHARED = {  # name → why the client's class and the server's have the same one
    "Experiment": "a row of the server's table, and an agent's handle on that row",
    "Experiments": "the server's table, and an agent's view of it",
}
ERRORS = (
    "gymserve.client.transport.exceptions",
    "gymserve.protocol.errors",
)  # the client raises the errors that the server names


def public_classes(files: Iterable[Source]) -> dict[str, set[str]]:
    """Name → the modules that define a public class of that name."""
    modules: dict[str, set[str]] = defaultdict(set)
    for source in files:
        for node in source.nodes:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].add(source.module)
    return modules


def repeated(files: Iterable[Source]) -> dict[str, set[str]]:
    """The classes that several modules define, without the errors that server and client share."""
    return {
        name: modules for name, modules in public_classes(files).items() if len(modules) > 1 and modules != set(ERRORS)
    }


def test_a_second_class_of_a_name_is_refused_wherever_it_is() -> None:
    one, other = Source("one.py", "class Thing: ..."), Source("folder/other.py", "def f():\n    class Thing: ...")
    assert repeated([one, other]) == {"Thing": {"one", "folder.other"}}
    assert not repeated([one, Source("folder/other.py", "class _Thing: ...\nThing = 1")])
    errors = [Source(f"{module.replace('.', '/')}.py", "class Thing(Exception): ...") for module in ERRORS]
    assert not repeated(errors) and repeated([*errors, one])


def test_no_two_public_classes_have_the_same_name() -> None:
    names = repeated(sources(PRODUCT))
    assert set(names) == set(SHARED), names


def test_shared_names_belong_to_the_client_and_the_server() -> None:
    for name, modules in repeated(sources(PRODUCT)).items():
        assert sorted("client" in module.split(".")[:2] for module in modules) == [False, True], name
