"""Every entry of every observation has a name in the documentation."""

import numpy as np
import pytest

from gymserve.environments.opensim import __main__ as command
from gymserve.environments.opensim import layout
from tests import ROOT

DOCS = ROOT / "docs"


def test_the_page_of_names_is_generated(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["names"]) == 0
    assert capsys.readouterr().out == (DOCS / "environments" / "opensim-observations.md").read_text()


def test_a_tree_and_its_vector_correspond() -> None:
    tree = {"a": {"b": (), "c": (2,)}, "d": (2, 2)}
    vector = np.arange(7.0)
    assert layout.size(tree) == 7
    assert layout.names(tree) == ("a b", "a c 0", "a c 1", "d 0 0", "d 0 1", "d 1 0", "d 1 1")
    whole = layout.unfold(tree, vector)
    assert layout.space(tree).contains(whole)
    assert whole["a"]["b"] == 0 and whole["a"]["c"].tolist() == [1, 2] and whole["d"].tolist() == [[3, 4], [5, 6]]
