"""`python -m tests.shape` finds violations of its rules."""

import textwrap

import pytest

from tests.shape import rules
from tests.shape.imports import between_folders, between_modules, circles
from tests.shape.rules import Finding
from tests.shape.sources import PRODUCT, Source, parameters, sources


def source(text: str, path: str = "gymserve/web/example.py") -> Source:
    return Source(path, textwrap.dedent(text))


@pytest.mark.parametrize(
    "text",
    [
        "def ask(asked): ...",
        "found = 1",
        "def f(self):\n    self._told = 1",
        "from gymserve.protocol import errors as mine",
        "class Door: ...",
        "[held for held in ()]",
        "if (given := 1): ...",
        "match 1:\n    case Wishes: ...",
    ],
)
def test_a_banned_name_is_refused_wherever_it_is_bound(text: str) -> None:
    assert [each.rule for each in rules.of_source(source(text))] == ["names"]


def test_a_banned_name_may_be_part_of_a_name_or_belong_to_another_module() -> None:
    assert not [*rules.of_source(source("not_found = answer.found\nraise NotFound(asked_for)"))]


def test_a_file_named_by_a_banned_word_is_refused() -> None:
    (finding,) = rules.of_source(source("", "grader/proofs/proving.py"))
    assert finding == Finding("names", "grader/proofs/proving.py", ":1 the name proving is banned")


@pytest.mark.parametrize("heading", ["Args:\n    a: what", "Raises: KeyError: none"])
def test_a_docstring_that_opens_with_a_heading_is_refused(heading: str) -> None:
    (finding,) = rules.of_source(source(f'def f(a):\n    """{heading}"""\n'))
    assert finding.rule == "docstrings" and ":2 " in finding.text
    assert not [*rules.of_source(source(f'def f(a):\n    """Does it.\n\n    {heading}\n    """\n'))]


def test_long_files_and_functions_are_refused() -> None:
    long = "def f():\n" + "    pass\n" * 60
    assert [each.rule for each in rules.of_source(source(long))] == ["functions"]
    assert [each.rule for each in rules.of_source(source("pass\n" * 351))] == ["files"]
    assert not [*rules.of_source(source("def f():\n" + "    pass\n" * 59 + "pass\n" * 290))]
    migration = "gymserve/store/migrations/versions/0001.py"
    assert not [*rules.of_source(source(long, migration))]


def test_a_function_with_many_parameters_is_refused() -> None:
    (finding,) = rules.of_source(source("def f(self, a, b, c, d, *, e, f, g, h): ..."))
    assert finding.rule == "parameters" and "has 8 parameters" in finding.text
    assert not [*rules.of_source(source("def f(self, a, b, c, d, *rest, e, f, g, **more): ..."))]


def test_the_functions_that_may_have_more_parameters_have_exactly_as_many() -> None:
    counts = {f"{file.path} {each.name}": parameters(each) for file in sources(PRODUCT) for each in file.functions}
    assert {name: counts[name] for name in rules.MORE_PARAMETERS} == rules.MORE_PARAMETERS


def test_any_needs_its_reason() -> None:
    (finding,) = rules.of_source(source("def f(env: Any): ..."))
    assert finding.rule == "types" and ":1 " in finding.text
    for reasoned in ("def f(env: Any): ...  # it may be anything", "# As sent.\nX = Any", 'X = Any\n"""As sent."""'):
        assert not [*rules.of_source(source(reasoned))]
    assert not [*rules.of_source(source("X = Any", "tests/example.py"))]


def test_a_circle_of_deferred_imports_is_a_circle() -> None:
    one = source("import flask\nfrom room.b import thing", "room/a.py")
    other = source("def f():\n    from room import a", "room/b.py")
    assert circles(between_modules([one, other])) == [["room.a", "room.b"]]
    assert circles(between_modules([one, other], deferred=False)) == []


def test_folders_may_form_a_circle_although_no_modules_do() -> None:
    files = [
        source("from room.inner import c", "room/a.py"),
        source("", "room/b.py"),
        source("", "room/inner/c.py"),
        source("from room import b", "room/inner/d.py"),
    ]
    assert circles(between_modules(files)) == []
    assert circles(between_folders(files)) == [["room", "room/inner"]]
