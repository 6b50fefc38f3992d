"""Fixtures that tests of several rooms share."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that only use it as agents do; tests that end processes start their own."""
    started = Server(tmp_path_factory.mktemp("data"))
    yield started
    assert started.stop() == 0


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers of the test's own, with settings by name; they are stopped at its end."""
    servers: list[Server] = []

    def started(**settings: Any) -> Server:
        servers.append(Server(tmp_path / f"data{len(servers)}", **settings))
        return servers[-1]

    yield started
    for each in servers:
        each.stop()
