"""The server that the client's tests share, with environments of their own."""

from collections.abc import Iterator

import pytest

from tests.support.servers import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    modules = [
        "tests.client.environments.gated",
        "tests.client.environments.mapping",
        "tests.client.environments.telling",
        "tests.support.environments.faulty",
    ]
    started = Server(
        tmp_path_factory.mktemp("data"),
        ENVIRONMENT_MODULES=modules,
        ENVIRONMENT_KWARGS={"Counting-v0": ["file"], "Gated-v0": ["folder"]},
        STEP_SECONDS=5,
    )
    yield started
    assert started.stop() == 0


@pytest.fixture(autouse=True)
def named_in_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients use this server by default."""
    monkeypatch.setenv("GYMSERVE_SERVER", server.url)
    monkeypatch.delenv("GYMSERVE_TOKEN", raising=False)
