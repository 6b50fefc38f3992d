"""What is promised when environments misbehave: every fault is caused for real, and ends only its own host."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.supervisor.faulty_servers import FAULTY, Start, kill_hosts, reset, step
from tests.support.environments import faulty as faults
from tests.support.servers import Server, alive, wait_for


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of faulty environments, with short limits."""
    limits = {"STEP_SECONDS": 2, "HOST_MEMORY_MB": 512, "RESTART_SECONDS": 1}
    started = Server(tmp_path_factory.mktemp("faulty"), **limits, **FAULTY)
    yield started
    assert started.stop() == 0


@pytest.mark.guarantee("an environment hangs, crashes, leaks, exits")
def test_a_hung_step_ends_only_its_host_and_is_reported(faulty: Server) -> None:
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


def test_a_slow_step_within_the_limit_is_carried_out(faulty: Server) -> None:
    token = faulty.create("Faulty-v0")
    reset(faulty, token)
    assert step(faulty, token, faults.SLOW).json["observation"] == [1.0]


@pytest.mark.guarantee("an environment hangs, crashes, leaks, exits")
@pytest.mark.parametrize(("action", "reason"), [(faults.SEGFAULT, "SIGSEGV"), (faults.EXIT, "exit code 7")])
def test_an_environment_that_ends_its_process_ends_nothing_else(faulty: Server, action: int, reason: str) -> None:
    token, other = faulty.create("SharedFaulty-v0"), faulty.create("SharedFaulty-v0")
    reset(faulty, token)
    reset(faulty, other)
    answer = step(faulty, token, action)
    assert answer.status == 500 and reason in answer.json["message"]
    assert step(faulty, other, faults.WELL).json["observation"] == [1.0]
    assert step(faulty, token, faults.WELL).json["observation"] == [1.0]


@pytest.mark.guarantee("an environment hangs, crashes, leaks, exits")
def test_a_leaking_environment_is_ended_at_the_limit(start: Start) -> None:
    server = start(HOST_MEMORY_MB=512, **FAULTY)  # a busy machine is slow to fill it: no short STEP_SECONDS
    token = server.create("Faulty-v0")
    reset(server, token)
    answer = step(server, token, faults.LEAK)
    assert answer.status == 500 and "HOST_MEMORY_MB" in answer.json["message"]
    assert step(server, token, faults.WELL).json["observation"] == [1.0]


@pytest.mark.parametrize(
    ("action", "reason"), [(faults.RAISE, "the muscles are tired"), (faults.SYSTEM_EXIT, "enough")]
)
def test_an_exception_is_reported_and_leaves_the_instance_unchanged(faulty: Server, action: int, reason: str) -> None:
    token = faulty.create("SharedFaulty-v0")
    reset(faulty, token)
    answer = step(faulty, token, action)
    assert answer.status == 500 and reason in answer.json["message"] and "Traceback" not in answer.json["message"]
    assert step(faulty, token, faults.WELL).json["observation"] == [1.0]


def test_an_environment_that_prints_and_changes_directory_affects_no_other(faulty: Server) -> None:
    token = faulty.create("SharedFaulty-v0")
    reset(faulty, token)
    assert step(faulty, token, faults.PRINT).status == 200
    again = faulty.create("CartPole-v1")
    assert reset(faulty, again).status == 200


def test_an_environment_that_does_not_replay_is_refused(faulty: Server) -> None:
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


@pytest.mark.long  # it waits for seconds
def test_a_host_in_a_crash_loop_is_restarted_after_a_delay(faulty: Server) -> None:
    token = faulty.create("SharedFaulty-v0")
    reset(faulty, token)
    for _ in range(4):
        assert step(faulty, token, faults.EXIT).status == 500
    assert step(faulty, token, faults.WELL).json["observation"] == [1.0]


@pytest.mark.guarantee("a host is killed in mid-step, -reset, -write")
def test_random_kills_under_agents_lose_no_step(faulty: Server, tmp_path: Path) -> None:
    done = threading.Event()
    counts: list[list[dict[str, Any]]] = []

    def kill() -> None:
        killed = -1
        while not done.wait(0.3):
            # A call whose host dies twice fails, so the next kill waits for a step on a slow machine.
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
def test_an_environment_that_cannot_be_made_in_time_is_reported_and_takes_no_place(
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


def test_a_warm_host_that_hangs_does_not_delay_the_end_of_the_server(start: Start) -> None:
    server = start(STEP_SECONDS=2, SHUTDOWN_SECONDS=120, **FAULTY)  # longer than stop() waits
    assert server.post("/v1/envs/", {"env_id": "UnmakableHanging-v0"}).status == 504
    assert server.stop() == 0


def test_an_environment_that_hangs_during_revival_is_reported(faulty: Server) -> None:
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
