"""What is promised when processes die, disks are full or limits are reached; every fault is caused for real."""

import contextlib
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import psutil
import pytest

from gymserve.hosts.link import Link
from gymserve.hosts.messages import EnsureHost, GetStatus
from tests.hosts.supervisor.faulty_servers import FAULTY, Start, kill_hosts, reset, step
from tests.support.environments import faulty as faults
from tests.support.servers import Server, alive, small_disk, wait_for


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose processes tests may kill."""
    started = Server(tmp_path_factory.mktemp("plain"))
    yield started
    assert started.stop() == 0


def cartpole(actions: list[int], seed: int) -> list[list[float]]:
    env = gymnasium.make("CartPole-v1")
    observations = [env.reset(seed=seed)[0].tolist()]
    return observations + [env.step(action)[0].tolist() for action in actions]


@pytest.mark.guarantee("a host is killed in mid-step, -reset, -write")
def test_a_host_killed_during_an_episode_is_not_noticed(plain: Server) -> None:
    token = plain.create("CartPole-v1")
    actions = [0, 1] * 8
    seen = [reset(plain, token, seed=5).json["observation"]]
    for index, action in enumerate(actions):
        if index % 5 == 2:
            kill_hosts(plain)
        seen.append(step(plain, token, action).json["observation"])
    assert seen == cartpole(actions, seed=5)


@pytest.mark.guarantee("a gunicorn worker is killed")
def test_a_killed_worker_is_replaced_and_no_instance_is_lost(plain: Server) -> None:
    token = plain.create("CartPole-v1")
    seen = [reset(plain, token, seed=1, seq=0).json["observation"]]
    for seq in range(1, 5):
        for pid in plain.workers():
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: len([pid for pid in plain.workers() if alive(pid)]) == 2)
        seen.append(wait_for(lambda seq=seq: _stepped(plain, token, seq)).json["observation"])
    assert seen == cartpole([0] * 4, seed=1)


def _stepped(server: Server, token: str, seq: int) -> Any:
    try:
        return step(server, token, 0, seq=seq)
    except OSError:  # the worker that took the connection is one of the killed
        return None


@pytest.mark.long
def test_a_death_and_a_request_for_a_new_host_in_one_round_start_one_host(start: Start) -> None:
    server = start(SHARED_HOSTS=1)
    token = server.create("CartPole-v1")
    asking = Link((server.data / "supervisor").read_text() + "/supervisor", timeout=20)
    supervisor, (host,) = server.supervisor(), server.hosts()
    asking.call(GetStatus())
    os.kill(supervisor, signal.SIGSTOP)
    try:
        asking.send(EnsureHost("s0"))
        os.kill(host, signal.SIGKILL)
        wait_for(lambda: not alive(host))
    finally:
        os.kill(supervisor, signal.SIGCONT)
    assert asking.answer(EnsureHost("s0")).path
    assert asking.call(GetStatus()).counters["host_restarts"] == 1
    asking.close()
    assert server.supervisor() == supervisor and reset(server, token).status == 200


@pytest.mark.needs("egl")
@pytest.mark.guarantee("the supervisor has no descriptor or process left, a folder cannot be swept")
def test_a_supervisor_without_free_descriptors_goes_on(start: Start) -> None:
    """It can neither accept connections nor fork hosts then, but the running hosts must not end with it."""
    server = start(SHARED_HOSTS=1, WORKERS=1)
    token, supervisor = server.create("CartPole-v1"), server.supervisor()
    server.create("Swimmer-v5")  # starts a warm host for another one
    most = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (psutil.Process(supervisor).num_fds(), most[1]))
    asking = Link((server.data / "supervisor").read_text() + "/supervisor", timeout=60)
    wait_for(lambda: "cannot be accepted" in "".join(server.output))
    wait_for(lambda: len(server.hosts()) == 3 or "cannot start a warm host" in "".join(server.output))
    refused = server.post("/v1/envs/", {"env_id": "HalfCheetah-v5"})
    assert refused.status == 503 and reset(server, token).status == 200
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, most)
    assert asking.call(GetStatus()).instances >= 2
    asking.close()
    assert server.create("HalfCheetah-v5") and server.supervisor() == supervisor


@pytest.mark.long
@pytest.mark.guarantee("the supervisor has no descriptor or process left, a folder cannot be swept")
def test_an_error_during_cleanup_ends_no_host(start: Start) -> None:
    server = start()
    token = server.create("CartPole-v1")
    server.stop()
    (server.data / "idempotency").write_text("not a folder")
    server.start()
    wait_for(lambda: "cannot be swept" in "".join(server.output))
    assert reset(server, token).status == 200


@pytest.mark.needs("mount")
@pytest.mark.guarantee("the disk is full")
def test_a_full_disk_refuses_a_step_and_loses_no_answered_one(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=16) as disk:
        server = Server(disk / "data", **FAULTY)
        token = server.create("SharedFaulty-v0")
        reset(server, token)
        filler = disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        answers = [step(server, token, faults.WELL)]
        while answers[-1].status == 200 and len(answers) < 1000:
            answers.append(step(server, token, faults.WELL))
        refused = answers.pop()
        assert refused.status == 507 and "cannot grow" in refused.json["message"]
        server.kill()  # what was answered is on the disk
        filler.unlink()
        server.start()
        assert [answer.json["observation"] for answer in answers] == [[n + 1.0] for n in range(len(answers))]
        assert step(server, token, faults.WELL).json["observation"] == [len(answers) + 1.0]
        assert server.stop() == 0


def test_an_emptied_file_of_an_idempotency_key_counts_as_missing(plain: Server) -> None:
    notes = plain.data / "idempotency"
    before = set(notes.iterdir()) if notes.exists() else set()
    plain.post("/v1/envs/", {"env_id": "CartPole-v1"}, Idempotency_Key="k")
    (note,) = set(notes.iterdir()) - before
    note.write_text("")
    supervisor = plain.supervisor()
    again = [plain.post("/v1/envs/", {"env_id": "CartPole-v1"}, Idempotency_Key="k").json["token"] for _ in range(2)]
    assert again[0] == again[1] and plain.supervisor() == supervisor


@pytest.mark.guarantee("everything is killed, at any moment")
def test_instances_go_on_after_everything_was_killed_and_restarted(start: Start) -> None:
    server = start()
    plain, heavy = server.create("CartPole-v1"), server.create("Pendulum-v1")
    vector = server.create("CartPole-v1", num_envs=3)
    for token in (plain, heavy, vector):
        reset(server, token, seed=3)
    step(server, plain, 1)
    step(server, heavy, [0.5])
    before = step(server, vector, [0, 1, 0]).json["observation"]
    server.kill()
    server.start()
    assert set(server.get("/v1/envs/").json["all_envs"]) == {plain, heavy, vector}
    assert step(server, plain, 0).json["observation"] == cartpole([1, 0], seed=3)[-1]
    assert step(server, heavy, [0.5]).status == 200
    local = gymnasium.make_vec("CartPole-v1", 3, "vector_entry_point")
    local.reset(seed=3)
    assert before == local.step(np.array([0, 1, 0]))[0].tolist()
    assert step(server, vector, [1, 1, 1]).json["observation"] == local.step(np.array([1, 1, 1]))[0].tolist()


@pytest.mark.guarantee("a host is killed in mid-step, -reset, -write")
def test_later_episodes_continue_the_generator_after_a_crash(plain: Server) -> None:
    token = plain.create("CartPole-v1", seed=9)
    local = gymnasium.make("CartPole-v1")
    for episode in range(4):
        expected = local.reset(seed=9 if episode == 0 else None)[0].tolist()
        assert reset(plain, token).json["observation"] == expected
        kill_hosts(plain)
        assert step(plain, token, 1).json["observation"] == local.step(1)[0].tolist()


def test_a_killed_supervisor_is_replaced_and_instances_revive(plain: Server) -> None:
    token = plain.create("CartPole-v1")
    reset(plain, token, seed=2)
    before = plain.supervisor()
    hosts = plain.hosts()
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: not any(alive(pid) for pid in hosts))
    assert step(plain, token, 1).json["observation"] == cartpole([1], seed=2)[-1]
    assert plain.supervisor() != before


def test_stopping_leaves_no_process_and_no_torn_journal(start: Start) -> None:
    server = start(**FAULTY)
    token = server.create("CartPole-v1")
    server.create("Faulty-v0")
    reset(server, token)
    processes = server.processes()
    assert server.stop() == 0
    assert not [pid for pid in processes if alive(pid)]
    journal = server.data / "instances" / token / "journal"
    assert journal.read_bytes()[-1:] != b"\0" or journal.stat().st_size < 4096  # the room allocated ahead is given back


@pytest.mark.long
def test_all_processes_end_when_the_server_is_killed(start: Start) -> None:
    server = start()
    server.create("CartPole-v1")
    processes = server.processes()
    server.process.kill()
    server.process.wait()
    wait_for(lambda: not [pid for pid in processes if alive(pid)])


@pytest.mark.long
def test_idle_instances_are_closed(start: Start) -> None:
    server = start(IDLE_SECONDS=1)
    token = server.create("CartPole-v1")
    wait_for(lambda: token not in server.get("/v1/envs/").json["all_envs"])
    answer = reset(server, token)
    assert answer.status == 400 and answer.json["message"] == f"Instance_id {token} unknown"


@pytest.mark.long
def test_errors_name_the_limit(start: Start) -> None:
    server = start(MAX_INSTANCES=2, MAX_DEDICATED_HOSTS=1, MAX_NUM_ENVS=4, **FAULTY)
    server.create("Faulty-v0")
    answer = server.post("/v1/envs/", {"env_id": "Faulty-v0"})
    assert answer.status == 429 and "MAX_DEDICATED_HOSTS" in answer.json["message"] and answer.headers["Retry-After"]
    token = server.create("CartPole-v1")
    answer = server.post("/v1/envs/", {"env_id": "CartPole-v1"})
    assert answer.status == 429 and "MAX_INSTANCES" in answer.json["message"]
    assert "MAX_NUM_ENVS" in server.post("/v1/envs/", {"env_id": "CartPole-v1", "num_envs": 10**9}).json["message"]
    assert server.post(f"/v1/envs/{token}/close/").status == 204
    wait_for(lambda: server.post("/v1/envs/", {"env_id": "CartPole-v1"}).status == 200)


def test_new_arguments_are_tried_in_a_separate_host_first(plain: Server) -> None:
    """If an environment takes long to be made with them, it does not delay other instances."""
    kwargs = {"desc": ["SFF", "FHF", "HFG"], "is_slippery": False}
    first = plain.create("FrozenLake-v1", kwargs=kwargs)
    assert first[0] == "d" and plain.create("FrozenLake-v1")[0] == "s"
    wait_for(lambda: plain.create("FrozenLake-v1", kwargs=kwargs)[0] == "s")


def test_a_worker_that_ends_leaves_the_hosts_running(plain: Server) -> None:
    token = plain.create("CartPole-v1")
    before = plain.supervisor(), plain.hosts()
    worker = plain.workers()[0]
    os.kill(worker, signal.SIGTERM)
    wait_for(lambda: not alive(worker))
    assert reset(plain, token).status == 200
    assert (plain.supervisor(), plain.hosts()) == before
