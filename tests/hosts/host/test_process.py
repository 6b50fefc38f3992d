"""A host without its process: how it renders, and what it does once a second."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gymserve.environments import Catalogue
from gymserve.hosts import child_processes, folders
from gymserve.hosts.host.process import Host
from gymserve.hosts.host.settings import HostSettings
from gymserve.hosts.instance.live import LiveInstance
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


def create(host: Host, env_id: str, **more: Any) -> LiveInstance:
    return host.create(folders.new_token("s0"), Recipe(env_id=env_id, environment=env_id, **more))


@pytest.mark.parametrize(
    ("mode", "starts"),
    [("ansi", "\n"), ("rgb_array", b"\x89PNG"), (None, b"\x89PNG")],
)
def test_a_state_is_rendered_in_the_mode_of_its_instance_or_else_as_a_picture(
    host: Host, mode: str | None, starts: Any
) -> None:
    instance = create(host, "FrozenLake-v1", render_mode=mode)
    host.reset(instance, 1, None, None)
    assert host.render(instance).startswith(starts)
    instance.unload()


def test_only_instances_that_were_idle_for_long_are_closed(host: Host, tmp_path: Path) -> None:
    idle, used = (create(host, "CartPole-v1") for _ in range(2))
    idle.used, used.used = host.loop.now - 101, host.loop.now - 99
    host._tick()
    assert [*host.instances] == [used.token] and os.listdir(tmp_path / "closed") == [idle.token]
    used.unload()
