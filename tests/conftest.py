"""Fixtures that tests of several rooms share."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gymserve.store import Database, connect, schema
from tests.servers import Answer, Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that only use it as agents do; tests that end processes start their own."""
    started = Server(tmp_path_factory.mktemp("data"))
    yield started
    assert started.stop() == 0


class Secured(NamedTuple):
    """A server with accounts, and who has which key."""

    server: Server
    ids: dict[str, int]
    keys: dict[str, str]

    def ask(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request, made as `who` ("nobody": without a key)."""
        if who != "nobody":
            headers["Authorization"] = f"Bearer {self.keys[who]}"
        return self.server.request(method, path, body, **headers)


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """One server with `AUTH = "token"`, and an account of each role; "other" is a second participant."""
    # No test's instances must use up another one's limits.
    limits = {"REQUESTS_PER_MINUTE": 0, "LOGIN_ATTEMPTS": 1000, "ACCOUNT_INSTANCES": 100_000}
    started = Server(tmp_path_factory.mktemp("secured"), AUTH="token", **limits)
    roles = {"participant": "participant", "other": "participant", "organiser": "organiser", "admin": "admin"}
    made = {name: started.account(f"{name}@example.org", role) for name, role in roles.items()}
    yield Secured(started, {name: one[0] for name, one in made.items()}, {name: one[1] for name, one in made.items()})
    assert started.stop() == 0


def _databases() -> dict[str, str]:
    """Kind → URL of the server on which tests make databases of their own."""
    return {
        "postgresql": os.environ.get("TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/postgres"),
        "mariadb": os.environ.get("TEST_MARIADB", "mariadb://root@127.0.0.1:3306/test"),
    }


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new, empty database; a test that uses it runs on each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'test.db'}"
        return
    url = _databases()[request.param]
    name = f"gymserve_{os.getpid()}_{time.monotonic_ns()}"
    engine = connect(url, tmp_path).engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield url.rpartition("/")[0] + "/" + name
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name}" + (" WITH (FORCE)" if "postgres" in url else ""))
    engine.dispose()


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    """A database of the newest version, of each kind."""
    connected = connect(database_url, tmp_path)
    schema.upgrade(connected)
    yield connected
    connected.close()


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
