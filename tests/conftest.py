"""Fixtures that tests of several rooms share."""

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest

from gymserve.store import Database, connect
from tests.support import databases, parts
from tests.support.costs import Costs
from tests.support.leftovers import Leftovers
from tests.support.servers import Answer, Server

# A busy machine is slow, which is no fault.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

LOG_LINES = 60  # of a server's log, that a failed test shows

# EPyMARL is not on any machine by itself: without it there is nothing to run, and nothing to skip.
collect_ignore = [] if os.environ.get("TEST_EPYMARL") else ["training/runners/test_epymarl.py"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-all", action="store_true", help="fail tests that need a part this machine lacks, do not skip them"
    )


def pytest_configure(config: pytest.Config) -> None:
    parts.all_required = config.getoption("--require-all")
    config.pluginmanager.register(Costs())
    config.pluginmanager.register(Leftovers(config))


def pytest_runtest_setup(item: pytest.Item) -> None:
    parts.require(*parts.needed(item))
    for each in Server.known:
        each.lines_before = len(each.output)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what servers logged during the test: an answer of 500 has its reason only there."""
    report = yield
    if report.failed:
        for each in Server.known:
            if lines := each.output[each.lines_before :][-LOG_LINES:]:
                report.sections.append((f"log of {each.url}", "".join(lines)))
    return report


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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every kind of database is in the default part of the store's own tests; of other rooms' only SQLite is."""
    for item in items:
        named = item.callspec.params if hasattr(item, "callspec") else {}
        kind = named.get("migrated_url", named.get("database_url", "sqlite"))
        if kind != "sqlite" and "tests/store/" not in item.nodeid:
            item.add_marker(pytest.mark.long)


@pytest.fixture(params=databases.KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new, empty database, for what migrates it; a test that uses it runs on each kind."""
    with databases.empty(request.param, tmp_path) as url:
        yield url


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[databases.Migrated]:
    with contextlib.closing(databases.Migrated(tmp_path_factory.mktemp("migrated"))) as made:
        yield made


@pytest.fixture(params=databases.KINDS)
def migrated_url(request: pytest.FixtureRequest, migrated: databases.Migrated, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of the newest version, without rows; a test that uses it runs on each kind."""
    with migrated.new(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def database(migrated_url: str, tmp_path: Path) -> Iterator[Database]:
    """A database of the newest version, of each kind."""
    with contextlib.closing(connect(migrated_url, tmp_path)) as connected:
        yield connected


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
