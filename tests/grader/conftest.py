"""Fixtures that tests of the grader share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gymserve.store import Database
from tests.grader.server.place import Place
from tests.hosts.instance.graders import Grader
from tests.support.servers import Server


@pytest.fixture(scope="session")
def grader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grader]:
    """One server for all: each test makes instances of its own."""
    started = Grader(Server(tmp_path_factory.mktemp("data")))
    yield started
    started.leave()
    assert started.server.stop() == 0


@pytest.fixture
def place(database: Database, grader: Grader, tmp_path: Path) -> Place:
    """On each kind of database."""
    return Place(database, grader, tmp_path)
