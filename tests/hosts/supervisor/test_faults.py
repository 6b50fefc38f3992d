"""What is promised when processes die and environments misbehave; every fault is caused for real."""

import contextlib
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from gymserve.hosts.link import Connection
from gymserve.hosts.messages import EnsureHost, GetStatus
from tests.support.environments import faulty as faults
from tests.support.servers import Server, alive, small_disk, wait_for

Start = Callable[..., Server]
FAULTY = {
    "ENVIRONMENT_MODULES": ["tests.support.environments.faulty", "tests.support.environments.unmakable"],
    "SHARED_ENVIRONMENTS": [
        "SharedSleepy-v0",
        "SharedFaulty-v0",
        "SharedForgetful-v0",
        "SharedCarrying-v0",
        "SharedClinging-v0",
    ],
    "ENVIRONMENT_KWARGS": {"Counting-v0": ["file"]},
    "SHARED_HOSTS": 1,
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose processes tests may kill."""
    started = Server(tmp_path_factory.mktemp("plain"))
    yield started
    assert started.stop() == 0


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of environments that do all that is wrong, with short limits."""
    limits = {"STEP_SECONDS": 2, "HOST_MEMORY_MB": 512, "RESTART_SECONDS": 1}
    started = Server(tmp_path_factory.mktemp("faulty"), **limits, **FAULTY)
    yield started
    assert started.stop() == 0


def kill_hosts(server: Server) -> None:
    for pid in server.hosts():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def step(server: Server, token: str, action: Any, **more: Any) -> Any:
    return server.post(f"/v1/envs/{token}/step/", {"action": action, **more})


def reset(server: Server, token: str, **more: Any) -> Any:
    return server.post(f"/v1/envs/{token}/reset/", more)


def cartpole(actions: list[int], seed: int) -> list[list[float]]:
    env = gymnasium.make("CartPole-v1")
    observations = [env.reset(seed=seed)[0].tolist()]
    return observations + [env.step(action)[0].tolist() for action in actions]


@pytest.mark.guarantee("a host is killed in mid-step, -reset, -write")
def test_host_killed_in_mid_episode_is_not_noticed(plain: Server) -> None:
    token = plain.create("CartPole-v1")
    actions = [0, 1] * 8
    seen = [reset(plain, token, seed=5).json["observation"]]
    for index, action in enumerate(actions):
        if index % 5 == 2:
            kill_hosts(plain)
        seen.append(step(plain, token, action).json["observation"])
    assert seen == cartpole(actions, seed=5)


@pytest.mark.guarantee("a gunicorn worker is killed")
def test_worker_killed_is_replaced_and_no_instance_is_lost(plain: Server) -> None:
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
def test_supervisor_hears_of_a_death_and_of_the_wish_for_a_new_host_in_one_round(start: Start) -> None:
    server = start(SHARED_HOSTS=1)
    token = server.create("CartPole-v1")
    asking = Connection((server.data / "supervisor").read_text() + "/supervisor", timeout=20)
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
def test_a_supervisor_without_a_free_descriptor_goes_on(start: Start) -> None:
    """It can neither accept connections nor fork hosts then; those that there are must not end with it."""
    server = start(SHARED_HOSTS=1, WORKERS=1)
    token, supervisor = server.create("CartPole-v1"), server.supervisor()
    server.create("Swimmer-v5")  # a host for another one is to be made ahead
    most = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{supervisor}/fd")), most[1]))
    asking = Connection((server.data / "supervisor").read_text() + "/supervisor", timeout=60)
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
def test_a_data_directory_that_cannot_be_swept_ends_no_host(start: Start) -> None:
    server = start()
    token = server.create("CartPole-v1")
    server.stop()
    (server.data / "idempotency").write_text("not a folder")
    server.start()
    wait_for(lambda: "cannot be swept" in "".join(server.output))
    assert reset(server, token).status == 200


@pytest.mark.needs("mount")
@pytest.mark.guarantee("the disk is full")
def test_a_full_disk_refuses_a_step_and_keeps_those_that_were_answered(tmp_path: Path) -> None:
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


def test_a_note_of_a_key_that_a_power_loss_emptied_is_none(plain: Server) -> None:
    notes = plain.data / "idempotency"
    before = set(notes.iterdir()) if notes.exists() else set()
    plain.post("/v1/envs/", {"env_id": "CartPole-v1"}, Idempotency_Key="k")
    (note,) = set(notes.iterdir()) - before
    note.write_text("")
    supervisor = plain.supervisor()
    again = [plain.post("/v1/envs/", {"env_id": "CartPole-v1"}, Idempotency_Key="k").json["token"] for _ in range(2)]
    assert again[0] == again[1] and plain.supervisor() == supervisor


@pytest.mark.guarantee("everything is killed, at any moment")
def test_everything_killed_and_started_again_goes_on(start: Start) -> None:
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


@pytest.mark.guarantee("an environment hangs, crashes, leaks, exits")
def test_a_hung_step_ends_only_its_host_and_says_so(faulty: Server) -> None:
    hanging, neighbour = faulty.create("SharedFaulty-v0"), faulty.create("SharedFaulty-v0")
    for token in (hanging, neighbour):
        reset(faulty, token)
        step(faulty, token, faults.WELL)
    answer = step(faulty, hanging, faults.HANG)
    assert answer.status == 504 and "STEP_SECONDS" in answer.json["message"]
    assert step(faulty, neighbour, faults.WELL).json["observation"] == [2.0]
    assert step(faulty, hanging, faults.WELL).json["observation"] == [2.0]  # as it was before the hung step


@pytest.mark.guarantee("an environment hangs, crashes, leaks, exits")
def test_a_host_that_is_stopped_between_calls_is_replaced(faulty: Server) -> None:
    token = faulty.create("SharedFaulty-v0")
    reset(faulty, token)
    step(faulty, token, faults.WELL)
    for pid in faulty.hosts():
        os.kill(pid, signal.SIGSTOP)
    assert step(faulty, token, faults.WELL).json["observation"] == [2.0]


@pytest.mark.guarantee("an environment hangs when it is closed")
@pytest.mark.parametrize("env_id", ["SharedClinging-v0", "Clinging-v0"])
def test_an_environment_that_hangs_when_it_is_closed_ends_only_its_host(faulty: Server, env_id: str) -> None:
    clinging, neighbour = faulty.create(env_id), faulty.create("SharedFaulty-v0")
    for token in (clinging, neighbour):
        reset(faulty, token)
    before = faulty.hosts()
    assert [faulty.post(f"/v1/envs/{clinging}/close/").status for _ in range(2)] == [204, 400]
    assert step(faulty, neighbour, faults.WELL).json["observation"] == [1.0]
    wait_for(lambda: len([pid for pid in before if alive(pid)]) < len(before))
    assert step(faulty, clinging, faults.WELL).status == 400 and reset(faulty, neighbour).status == 200
    assert {clinging, neighbour} & {*faulty.get("/v1/envs/").json["all_envs"]} == {neighbour}


def test_a_slow_step_in_time_is_left_alone(faulty: Server) -> None:
    token = faulty.create("Faulty-v0")
    reset(faulty, token)
    assert step(faulty, token, faults.SLOW).json["observation"] == [1.0]


@pytest.mark.guarantee("an environment hangs, crashes, leaks, exits")
@pytest.mark.parametrize(("action", "reason"), [(faults.SEGFAULT, "SIGSEGV"), (faults.EXIT, "exit code 7")])
def test_an_environment_that_ends_its_process_ends_only_that(faulty: Server, action: int, reason: str) -> None:
    token, other = faulty.create("SharedFaulty-v0"), faulty.create("SharedFaulty-v0")
    reset(faulty, token)
    reset(faulty, other)
    answer = step(faulty, token, action)
    assert answer.status == 500 and reason in answer.json["message"]
    assert step(faulty, other, faults.WELL).json["observation"] == [1.0]
    assert step(faulty, token, faults.WELL).json["observation"] == [1.0]


@pytest.mark.guarantee("an environment hangs, crashes, leaks, exits")
def test_a_leaking_environment_is_ended_at_its_limit(start: Start) -> None:
    server = start(HOST_MEMORY_MB=512, **FAULTY)  # a busy machine is slow to fill it: no short STEP_SECONDS
    token = server.create("Faulty-v0")
    reset(server, token)
    answer = step(server, token, faults.LEAK)
    assert answer.status == 500 and "HOST_MEMORY_MB" in answer.json["message"]
    assert step(server, token, faults.WELL).json["observation"] == [1.0]


@pytest.mark.parametrize(
    ("action", "reason"), [(faults.RAISE, "the muscles are tired"), (faults.SYSTEM_EXIT, "enough")]
)
def test_an_exception_is_told_and_the_instance_is_as_before(faulty: Server, action: int, reason: str) -> None:
    token = faulty.create("SharedFaulty-v0")
    reset(faulty, token)
    answer = step(faulty, token, action)
    assert answer.status == 500 and reason in answer.json["message"] and "Traceback" not in answer.json["message"]
    assert step(faulty, token, faults.WELL).json["observation"] == [1.0]


def test_an_environment_that_prints_and_moves_harms_nobody(faulty: Server) -> None:
    token = faulty.create("SharedFaulty-v0")
    reset(faulty, token)
    assert step(faulty, token, faults.PRINT).status == 200
    again = faulty.create("CartPole-v1")
    assert reset(faulty, again).status == 200


def test_an_environment_that_does_not_replay_is_named_instead_of_trusted(faulty: Server) -> None:
    token = faulty.create("SharedForgetful-v0")
    reset(faulty, token)
    step(faulty, token, 0)
    kill_hosts(faulty)
    answer = step(faulty, token, 0)
    assert answer.status == 409 and answer.json["error"] == "NotReplayable"
    assert "does not replay identically" in answer.json["message"]
    assert reset(faulty, token).status == 200
    assert step(faulty, token, 0).status == 200


def test_state_carried_between_episodes_is_replayed_from_the_beginning(faulty: Server) -> None:
    token = faulty.create("SharedCarrying-v0")
    for _ in range(3):
        reset(faulty, token)
        step(faulty, token, 0)
    kill_hosts(faulty)
    assert step(faulty, token, 0).json["observation"] == [302.0]


@pytest.mark.guarantee("a host is killed in mid-step, -reset, -write")
def test_later_episodes_continue_the_generator_after_a_crash(plain: Server) -> None:
    token = plain.create("CartPole-v1", seed=9)
    local = gymnasium.make("CartPole-v1")
    for episode in range(4):
        expected = local.reset(seed=9 if episode == 0 else None)[0].tolist()
        assert reset(plain, token).json["observation"] == expected
        kill_hosts(plain)
        assert step(plain, token, 1).json["observation"] == local.step(1)[0].tolist()


@pytest.mark.long  # it waits for seconds
def test_a_host_that_dies_again_and_again_is_held_back_and_comes_back(faulty: Server) -> None:
    token = faulty.create("SharedFaulty-v0")
    reset(faulty, token)
    for _ in range(4):
        assert step(faulty, token, faults.EXIT).status == 500
    assert step(faulty, token, faults.WELL).json["observation"] == [1.0]


def test_supervisor_killed_is_replaced_and_instances_revive(plain: Server) -> None:
    token = plain.create("CartPole-v1")
    reset(plain, token, seed=2)
    before = plain.supervisor()
    hosts = plain.hosts()
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: not any(alive(pid) for pid in hosts))
    assert step(plain, token, 1).json["observation"] == cartpole([1], seed=2)[-1]
    assert plain.supervisor() != before


@pytest.mark.guarantee("a host is killed in mid-step, -reset, -write")
def test_random_kills_under_agents_lose_no_step(faulty: Server, tmp_path: Path) -> None:
    done = threading.Event()
    counts: list[list[dict[str, Any]]] = []

    def kill() -> None:
        killed = -1
        while not done.wait(0.3):
            # a call whose host dies twice is answered with the reason: on a slow machine the next kill waits for a step
            if len(counts) > killed:
                killed = len(counts)
                kill_hosts(faulty)

    killer = threading.Thread(target=kill)
    tokens = [faulty.create("SharedFaulty-v0") for _ in range(4)]
    killer.start()
    try:
        for token in tokens:
            reset(faulty, token)
        for _ in range(100):
            counts.append([step(faulty, token, faults.WELL).json for token in tokens])
    finally:
        done.set()
        killer.join()
    for index, answers in enumerate(counts):
        assert [answer.get("observation") for answer in answers] == [[index + 1.0]] * 4, answers


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
def test_serve_killed_takes_everything_with_it(start: Start) -> None:
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
def test_limits_are_told_by_name(start: Start) -> None:
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


@pytest.mark.guarantee("an environment hangs, crashes, leaks, exits")
@pytest.mark.parametrize(
    ("env_id", "reason"),
    [
        ("SharedSleepy-v0", "STEP_SECONDS"),
        pytest.param("UnmakableHanging-v0", "STEP_SECONDS", marks=pytest.mark.long),
        pytest.param("UnmakableHoarding-v0", "HOST_MEMORY_MB", marks=pytest.mark.long),
        pytest.param("UnmakableCrashing-v0", "SIGSEGV", marks=pytest.mark.long),
    ],
)
def test_an_environment_that_cannot_be_made_in_time_is_told_and_takes_no_place(
    faulty: Server, env_id: str, reason: str
) -> None:
    neighbour = faulty.create("SharedFaulty-v0")
    reset(faulty, neighbour)
    before = faulty.get("/health").json["instances"]
    faults.Sleepy.file().touch()
    answer = faulty.post("/v1/envs/", {"env_id": env_id})
    faults.Sleepy.file().unlink()
    assert answer.status == (504 if reason == "STEP_SECONDS" else 500), answer.body
    assert "cannot be made" in answer.json["message"] and reason in answer.json["message"]
    assert faulty.get("/health").json["instances"] == before
    assert step(faulty, neighbour, faults.WELL).json["observation"] == [1.0]


def test_an_environment_that_hangs_while_it_is_made_ahead_does_not_delay_the_servers_end(start: Start) -> None:
    server = start(STEP_SECONDS=2, SHUTDOWN_SECONDS=120, **FAULTY)  # longer than stop() waits
    assert server.post("/v1/envs/", {"env_id": "UnmakableHanging-v0"}).status == 504
    assert server.stop() == 0


def test_an_environment_that_hangs_when_it_is_revived_is_told(faulty: Server) -> None:
    faults.Sleepy.file().unlink(missing_ok=True)
    token, neighbour = faulty.create("SharedSleepy-v0"), faulty.create("SharedFaulty-v0")
    reset(faulty, token)
    reset(faulty, neighbour)
    faults.Sleepy.file().touch()
    kill_hosts(faulty)
    answer = step(faulty, token, faults.WELL)
    assert answer.status == 504 and "STEP_SECONDS" in answer.json["message"]
    assert step(faulty, neighbour, faults.WELL).json["observation"] == [1.0]
    faults.Sleepy.file().unlink()
    assert step(faulty, token, faults.WELL).json["observation"] == [1.0]


def test_arguments_are_tried_apart_before_they_share_a_host(plain: Server) -> None:
    """So that one that takes long to be made with them does not hold back neighbours."""
    kwargs = {"desc": ["SFF", "FHF", "HFG"], "is_slippery": False}
    first = plain.create("FrozenLake-v1", kwargs=kwargs)
    assert first[0] == "d" and plain.create("FrozenLake-v1")[0] == "s"
    wait_for(lambda: plain.create("FrozenLake-v1", kwargs=kwargs)[0] == "s")


def test_a_worker_that_ends_leaves_the_hosts_to_the_others(plain: Server) -> None:
    token = plain.create("CartPole-v1")
    before = plain.supervisor(), plain.hosts()
    worker = plain.workers()[0]
    os.kill(worker, signal.SIGTERM)
    wait_for(lambda: not alive(worker))
    assert reset(plain, token).status == 200
    assert (plain.supervisor(), plain.hosts()) == before
