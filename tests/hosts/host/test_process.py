"""A host without its process: what it does once a second."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gymserve.environments import Catalogue
from gymserve.hosts import child_processes, folders
from gymserve.hosts.host.process import Host
from gymserve.hosts.host.settings import HostSettings
from gymserve.hosts.pulse import Pulse
from gymserve.protocol.recipe import Recipe
from gymserve.settings import Settings


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr(child_processes, "descendants", lambda *_: set())  # those of the tests are not its own
    supervisor, control = socket.socketpair()
    listener = socket.socket(socket.AF_UNIX)
    (tmp_path / "instances").mkdir()
    settings = Settings(DATA=str(tmp_path), IDLE_SECONDS=100).pick(HostSettings)
    made = Host("s0", listener=listener, supervisor=control, settings=settings, catalogue=Catalogue(), pulse=Pulse())
    yield made
    for channel in list(made.loop.channels.values()):
        channel.close()
    made.loop.poll.close()
    supervisor.close()


def test_only_instances_that_were_idle_for_long_are_closed(host: Host, tmp_path: Path) -> None:
    recipe = Recipe(env_id="CartPole-v1", environment="CartPole-v1")
    idle, used = (host.create(folders.new_token("s0"), recipe) for _ in range(2))
    idle.used, used.used = host.loop.now - 101, host.loop.now - 99
    host._tick()
    assert [*host.instances] == [used.token] and os.listdir(tmp_path / "closed") == [idle.token]
    used.unload()
