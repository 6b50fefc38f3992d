"""Fixtures that tests of several folders of hosts share."""

from collections.abc import Iterator

import pytest

from tests.hosts.instance.graders import FAULTY, Grader
from tests.support.servers import Server


@pytest.fixture(scope="module")
def grader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grader]:
    started = Grader(Server(tmp_path_factory.mktemp("data"), **FAULTY))
    yield started
    started.leave()
    assert started.server.stop() == 0
