"""Fixtures for the tests of the grader."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gymserve.store import Database
from tests.grader.server.place import Place
from tests.hosts.instance.graders import Grader
from tests.support.servers import Server


@pytest.fixture(scope="session")
def grader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grader]:
    """A server that all tests share. Each test creates its own instances."""
    started = Grader(Server(tmp_path_factory.mktemp("data")))
    yield started
    started.leave()
    assert started.server.stop() == 0


@pytest.fixture
def place(database: Database, grader: Grader, tmp_path: Path) -> Place:
    """A challenge on each kind of database in turn."""
    return Place(database, grader, tmp_path)
