"""A misbehaving environment gives its agent a clear error, affects no other instance, and leaves no process behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gymserve.hosts import child_processes
from gymserve.hosts.link import Link
from gymserve.hosts.messages import GetStatus
from gymserve.settings import Settings
from tests.hosts.host.streams import raw
from tests.support.environments import foreign
from tests.support.servers import Answer, Server, alive, wait_for

Start = Callable[..., Server]
SETTINGS = {
    "ENVIRONMENT_MODULES": ["tests.support.environments.foreign"],
    "SHARED_ENVIRONMENTS": foreign.SHARED,
    "SHARED_HOSTS": 1,
    "STEP_SECONDS": 10,
    "RESTART_SECONDS": 1,
    "PREPARED_HOSTS": 0,
}
FEW = ("fork_stepped", "chdir_stepped", "popen_made", "leave_reset", "own_rendered", "kill_closed", "signal_stepped")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("check_isolation"), **SETTINGS)
    yield started
    assert started.stop() == 0


def calls(server: Server, env_id: str) -> list[Answer]:
    """The answers to all calls in an instance's life, or up to the error if it cannot be created."""
    made = server.post("/v1/envs/", {"env_id": env_id, "render_mode": "rgb_array"})
    if made.status != 200:
        return [made]
    path = f"/v1/envs/{made.json['instance_id']}"
    answers = [made, server.post(f"{path}/reset/", {"seed": 1})]
    for _ in range(2):
        answers.append(server.post(f"{path}/step/", {"action": 0}))
    answers.append(server.get(f"{path}/render/"))
    answers.append(server.post(f"{path}/close/"))
    return answers


def all_ended(pids: list[int]) -> bool:
    return not any(alive(pid) for pid in pids)


def check_isolation(server: Server, env_id: str) -> None:
    what, _, when = env_id.partition("/")[2].removesuffix("-v0").partition("_")
    neighbour = server.create("shared/chdir_never-v0")
    for path, body in (("reset", {}), ("step", {"action": 0})):
        assert server.post(f"/v1/envs/{neighbour}/{path}/", body).status == 200
    before = set(foreign.started())
    answers = calls(server, env_id)
    bad = [answer for answer in answers if answer.status >= 400]
    if what in foreign.HARMLESS or when == "closed":
        assert not bad, bad[0].body
    else:
        for answer in bad:
            message = answer.json["message"]
            assert message.isprintable() and len(message) < 1000
        assert bad, answers
        message = bad[0].json["message"]
        if what in foreign.RAISED:
            name = {"cancelled": "CancelledError", "interrupt": "KeyboardInterrupt", "own": "Own"}.get(what, "")
            assert name in message
        if what in foreign.DEADLY:
            assert "its host" in message
    assert server.post(f"/v1/envs/{neighbour}/step/", {"action": 0}).json["observation"] == [2.0, 0.0]
    another = server.create("shared/chdir_never-v0")
    assert server.post(f"/v1/envs/{another}/reset/", {}).json["info"]["stands"].endswith("/work")
    server.post(f"/v1/envs/{another}/close/")
    begun = set(foreign.started()) - before
    assert begun or what != "popen"
    supervisor = server.supervisor()
    wait_for(lambda: child_processes.descendants(supervisor) == child_processes.children(supervisor))
    assert all_ended([*begun])
    server.post(f"/v1/envs/{neighbour}/close/")


@pytest.mark.guarantee("an environment raises, exits, forks, prints, signals, answers in old shapes")
@pytest.mark.parametrize("case", FEW)
def test_a_misbehaving_environment_affects_only_its_own_instance(server: Server, case: str) -> None:
    check_isolation(server, f"shared/{case}-v0")


@pytest.mark.long
@pytest.mark.parametrize("when", foreign.MOMENTS)
@pytest.mark.parametrize("what", [*foreign.TROUBLES, foreign.OLD])
@pytest.mark.parametrize("namespace", ["foreign", "shared"])
def test_every_misbehaving_environment_affects_only_its_own_instance(
    server: Server, namespace: str, what: str, when: str
) -> None:
    check_isolation(server, f"{namespace}/{what}_{when}-v0")


def test_a_forked_child_that_returns_from_its_call_writes_to_no_journal(server: Server) -> None:
    before = set(foreign.started())
    path = f"/v1/envs/{server.create('shared/Twin-v0')}"
    server.post(f"{path}/reset/", {})
    seen = [server.post(f"{path}/step/", {"action": 0}).json["observation"][0] for _ in range(3)]
    child = wait_for(lambda: set(foreign.started()) - before)
    wait_for(lambda: all_ended([*child]))
    for host in server.hosts():
        os.kill(host, signal.SIGKILL)
    seen.append(server.post(f"{path}/step/", {"action": 0}).json["observation"][0])
    assert seen == [1.0, 2.0, 3.0, 4.0]
    server.post(f"{path}/close/")


def test_a_child_of_an_environment_keeps_no_stream_of_its_host_open(server: Server) -> None:
    token = server.create("shared/fork_stepped-v0")
    with raw(server, token) as connection:
        for path, body in (("reset", {}), ("step", {"action": 0})):
            assert server.post(f"/v1/envs/{token}/{path}/", body).status == 200
        connection.sendall(b"\x82\x01\x00")  # not masked, so the host closes the stream
        while connection.recv(4096):
            pass
    server.post(f"/v1/envs/{token}/close/")


def test_threads_end_with_the_last_instance_of_their_host(server: Server) -> None:
    leaving = server.create("shared/thread_reset-v0")
    asking = Link((server.data / "supervisor").read_text() + "/supervisor", timeout=20)
    host = asking.call(GetStatus()).hosts["s0"]
    restarts = asking.call(GetStatus()).counters.get("host_restarts")
    assert server.post(f"/v1/envs/{leaving}/reset/", {}).status == 200
    neighbour = server.create("shared/chdir_never-v0")
    assert server.post(f"/v1/envs/{leaving}/close/").status == 204
    assert server.post(f"/v1/envs/{neighbour}/reset/", {}).status == 200 and alive(host)
    assert server.post(f"/v1/envs/{neighbour}/close/").status == 204
    wait_for(lambda: not alive(host))
    assert server.create("shared/chdir_never-v0")
    assert asking.call(GetStatus()).counters.get("host_restarts") == restarts  # it exited on its own
    asking.close()


@pytest.mark.long
def test_processes_of_environments_end_with_the_server_or_before_the_next_one_starts(start: Start) -> None:
    server = start(**SETTINGS)
    before = set(foreign.started())

    def run() -> list[int]:
        for namespace in ("foreign", "shared"):
            for what in ("fork", "popen"):
                token = server.create(f"{namespace}/{what}_reset-v0")
                assert server.post(f"/v1/envs/{token}/reset/", {}).status == 200
        begun = wait_for(lambda: (new := set(foreign.started()) - before) and len(new) >= 10 and [*new])
        before.update(begun)
        assert any(alive(pid) for pid in begun)
        return list(begun)

    killed = run()
    server.kill()
    assert any(alive(pid) for pid in killed)  # no supervisor was left to end them
    server.start()
    stopped = run()
    assert all_ended(killed)
    assert server.stop() == 0
    assert all_ended(stopped)


def test_a_supervisor_without_a_reader_ends_silently(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    settings = Settings(DATA=str(tmp_path), PRELOAD=False).to_json().encode()
    ran = subprocess.run(
        [sys.executable, "-m", "gymserve.hosts.supervisor"],
        input=settings,
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(write)
    assert ran.stderr == b"" and ran.returncode == 0
