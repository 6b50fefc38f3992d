"""The pool when several threads use it, and when hosts or the supervisor do not answer."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gymserve.environments import Catalogue
from gymserve.hosts import folders
from gymserve.hosts.link import Link, Messages, Reply, encode
from gymserve.hosts.messages import GetStatus, StepInstance, supervisor_request
from gymserve.hosts.pool.connections import Pool
from gymserve.hosts.pool.instances import Instances
from gymserve.protocol import errors
from gymserve.settings import Settings


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    made = Pool.of(Settings(DATA=str(tmp_path)))
    yield made
    made.supervisor.forget()


def listener(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    made.listen(8)
    return made


def start_permissive_supervisor(path: Path) -> None:
    """Starts a thread that answers like a supervisor which allows everything."""
    at = listener(path)

    def serve() -> None:
        with at, at.accept()[0] as client:
            messages = Messages(supervisor_request)
            while data := client.recv(65536):
                for _ in messages.feed(data):
                    client.sendall(encode(Reply(None, None)))

    threading.Thread(target=serve, daemon=True).start()


class Emptied(list[Any]):
    """The idle connections of a host, from which another thread takes the last one at the worst moment."""

    def __getitem__(self, index: Any) -> Any:
        self.clear()
        return super().__getitem__(index)


def test_pruning_ignores_a_connection_that_another_thread_has_taken(pool: Pool) -> None:
    pool._idle["s0"] = Emptied([None])
    pool._prune()
    assert pool._idle == {"s0": []}


@pytest.mark.parametrize("operation", ["attach", "step"])
def test_a_host_that_does_not_answer_is_unavailable(pool: Pool, tmp_path: Path, operation: str) -> None:
    start_permissive_supervisor(tmp_path / "supervisor-socket")
    pool.supervisor._connection = Link(str(tmp_path / "supervisor-socket"), timeout=10)
    token = folders.new_token("s0")
    with listener(tmp_path / "host"):
        silent = Link(str(tmp_path / "host"), timeout=0.05)
        pool._idle["s0"] = [silent]
        with pytest.raises(errors.Unavailable, match="host s0 does not answer"):
            if operation == "attach":
                pool.attach(token, 0, compression="", handshake=b"", early=b"")
            else:
                pool.call(StepInstance(token, 0, None, None))
    assert not pool._idle["s0"] and silent.socket.fileno() < 0  # so a late answer is lost


def test_the_folder_of_a_live_instance_is_found_by_its_token(pool: Pool, tmp_path: Path) -> None:
    instances = Instances(pool, Catalogue(), step_seconds=1.0, most_envs=1)
    token, gone = folders.new_token("s0"), folders.new_token("s0")
    (tmp_path / "instances" / token).mkdir(parents=True)
    (tmp_path / "closed" / gone).mkdir(parents=True)
    assert instances.folder(token) == tmp_path / "instances" / token
    for unknown in (gone, "..", ""):
        with pytest.raises(errors.UnknownInstance):
            instances.folder(unknown)
    assert instances.exists(token) and instances.exists(gone) and not instances.exists(folders.new_token("s0"))


def test_a_supervisor_that_can_no_longer_start_is_unavailable(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")  # ends before it is ready, like a killed supervisor
    with pytest.raises(errors.Unavailable, match="supervisor"):
        pool.supervisor.ask(GetStatus())
    with pytest.raises(errors.SettingsError):
        pool.supervisor.start()
