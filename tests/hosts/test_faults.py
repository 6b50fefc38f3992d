"""What is promised when processes die and environments misbehave; every fault is caused for real."""

import contextlib
import os
import resource
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from gymserve.hosts.link import Connection, encode
from tests import faulty_environments as faults
from tests.servers import Server, alive, wait_for

Start = Callable[..., Server]
FAULTY = {
    "ENVIRONMENT_MODULES": ["tests.faulty_environments"],
    "SHARED_ENVIRONMENTS": ["SharedFaulty-v0", "SharedForgetful-v0", "SharedCarrying-v0", "SharedClinging-v0"],
    "ENVIRONMENT_KWARGS": {"Counting-v0": ["file"]},
    "SHARED_HOSTS": 1,
}


def step(server: Server, token: str, action: Any, **more: Any) -> Any:
    return server.post(f"/v1/envs/{token}/step/", {"action": action, **more})


def reset(server: Server, token: str, **more: Any) -> Any:
    return server.post(f"/v1/envs/{token}/reset/", more)


def cartpole(actions: list[int], seed: int) -> list[list[float]]:
    env = gymnasium.make("CartPole-v1")
    observations = [env.reset(seed=seed)[0].tolist()]
    return observations + [env.step(action)[0].tolist() for action in actions]


def test_host_killed_in_mid_episode_is_not_noticed(start: Start) -> None:
    server = start()
    token = server.create("CartPole-v1")
    actions = [0, 1] * 8
    seen = [reset(server, token, seed=5).json["observation"]]
    for index, action in enumerate(actions):
        if index % 5 == 2:
            for pid in server.hosts():
                os.kill(pid, signal.SIGKILL)
        seen.append(step(server, token, action).json["observation"])
    assert seen == cartpole(actions, seed=5)


def test_worker_killed_is_replaced_and_no_instance_is_lost(start: Start) -> None:
    server = start()
    token = server.create("CartPole-v1")
    seen = [reset(server, token, seed=1, seq=0).json["observation"]]
    for seq in range(1, 5):
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: len([pid for pid in server.workers() if alive(pid)]) == 2)
        seen.append(wait_for(lambda seq=seq: _stepped(server, token, seq)).json["observation"])
    assert seen == cartpole([0] * 4, seed=1)


def _stepped(server: Server, token: str, seq: int) -> Any:
    try:
        return step(server, token, 0, seq=seq)
    except OSError:  # the worker that took the connection is one of the killed
        return None


def test_supervisor_hears_of_a_death_and_of_the_wish_for_a_new_host_in_one_round(start: Start) -> None:
    server = start(SHARED_HOSTS=1)
    token = server.create("CartPole-v1")
    asking = Connection((server.data / "supervisor").read_text() + "/supervisor", timeout=20)
    supervisor, (host,) = server.supervisor(), server.hosts()
    asking.call("status")
    os.kill(supervisor, signal.SIGSTOP)
    try:
        asking.socket.sendall(encode(("ensure", "s0")))
        os.kill(host, signal.SIGKILL)
        wait_for(lambda: not alive(host))
    finally:
        os.kill(supervisor, signal.SIGCONT)
    assert asking.answer()["path"]
    assert asking.call("status")["counters"]["host_restarts"] == 1
    asking.close()
    assert server.supervisor() == supervisor and reset(server, token).status == 200


def test_a_supervisor_without_a_free_descriptor_goes_on(start: Start) -> None:
    """It can neither accept connections nor fork hosts then; those that there are must not end with it."""
    server = start(SHARED_HOSTS=1, WORKERS=1)
    token, supervisor = server.create("CartPole-v1"), server.supervisor()
    server.create("Swimmer-v5")  # a host for another one is to be made ahead
    most = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{supervisor}/fd")), most[1]))
    asking = Connection((server.data / "supervisor").read_text() + "/supervisor", timeout=60)
    wait_for(lambda: "cannot be accepted" in "".join(server.output))
    wait_for(lambda: len(server.hosts()) == 3 or "can be made ahead" in "".join(server.output))
    refused = server.post("/v1/envs/", {"env_id": "HalfCheetah-v5"})
    assert refused.status == 503 and reset(server, token).status == 200
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, most)
    assert asking.call("status")["instances"] >= 2
    asking.close()
    assert server.create("HalfCheetah-v5") and server.supervisor() == supervisor


def test_a_data_directory_that_cannot_be_swept_ends_no_host(start: Start) -> None:
    server = start()
    token = server.create("CartPole-v1")
    server.stop()
    (server.data / "idempotency").write_text("not a folder")
    server.start()
    wait_for(lambda: "cannot be swept" in "".join(server.output))
    assert reset(server, token).status == 200


def test_a_note_of_a_key_that_a_power_loss_emptied_is_none(start: Start) -> None:
    server = start()
    server.post("/v1/envs/", {"env_id": "CartPole-v1"}, Idempotency_Key="k")
    (note,) = (server.data / "idempotency").iterdir()
    note.write_text("")
    supervisor = server.supervisor()
    again = [server.post("/v1/envs/", {"env_id": "CartPole-v1"}, Idempotency_Key="k").json["token"] for _ in range(2)]
    assert again[0] == again[1] and server.supervisor() == supervisor


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


def test_a_hung_step_ends_only_its_host_and_says_so(start: Start) -> None:
    server = start(STEP_SECONDS=1, **FAULTY)
    hanging, neighbour = server.create("SharedFaulty-v0"), server.create("SharedFaulty-v0")
    for token in (hanging, neighbour):
        reset(server, token)
        step(server, token, faults.WELL)
    answer = step(server, hanging, faults.HANG)
    assert answer.status == 504 and "STEP_SECONDS" in answer.json["message"]
    assert step(server, neighbour, faults.WELL).json["observation"] == [2.0]
    assert step(server, hanging, faults.WELL).json["observation"] == [2.0]  # as it was before the hung step


@pytest.mark.parametrize("env_id", ["SharedClinging-v0", "Clinging-v0"])
def test_an_environment_that_hangs_when_it_is_closed_ends_only_its_host(start: Start, env_id: str) -> None:
    server = start(STEP_SECONDS=1, **FAULTY)
    clinging, neighbour = server.create(env_id), server.create("SharedFaulty-v0")
    for token in (clinging, neighbour):
        reset(server, token)
    before = server.hosts()
    assert [server.post(f"/v1/envs/{clinging}/close/").status for _ in range(2)] == [204, 400]
    assert step(server, neighbour, faults.WELL).json["observation"] == [1.0]
    wait_for(lambda: len([pid for pid in before if alive(pid)]) < len(before))
    assert step(server, clinging, faults.WELL).status == 400 and reset(server, neighbour).status == 200
    assert list(server.get("/v1/envs/").json["all_envs"]) == [neighbour]


def test_a_slow_step_in_time_is_left_alone(start: Start) -> None:
    server = start(STEP_SECONDS=2, **FAULTY)
    token = server.create("Faulty-v0")
    reset(server, token)
    assert step(server, token, faults.SLOW).json["observation"] == [1.0]


@pytest.mark.parametrize(("action", "reason"), [(faults.SEGFAULT, "SIGSEGV"), (faults.EXIT, "exit code 7")])
def test_an_environment_that_ends_its_process_ends_only_that(start: Start, action: int, reason: str) -> None:
    server = start(**FAULTY)
    token, other = server.create("SharedFaulty-v0"), server.create("SharedFaulty-v0")
    reset(server, token)
    reset(server, other)
    answer = step(server, token, action)
    assert answer.status == 500 and reason in answer.json["message"]
    assert step(server, other, faults.WELL).json["observation"] == [1.0]
    assert step(server, token, faults.WELL).json["observation"] == [1.0]


def test_a_leaking_environment_is_ended_at_its_limit(start: Start) -> None:
    server = start(HOST_MEMORY_MB=512, **FAULTY)
    token = server.create("Faulty-v0")
    reset(server, token)
    answer = step(server, token, faults.LEAK)
    assert answer.status == 500 and "HOST_MEMORY_MB" in answer.json["message"]
    assert step(server, token, faults.WELL).json["observation"] == [1.0]


@pytest.mark.parametrize(
    ("action", "reason"), [(faults.RAISE, "the muscles are tired"), (faults.SYSTEM_EXIT, "enough")]
)
def test_an_exception_is_told_and_the_instance_is_as_before(start: Start, action: int, reason: str) -> None:
    server = start(**FAULTY)
    token = server.create("SharedFaulty-v0")
    reset(server, token)
    answer = step(server, token, action)
    assert answer.status == 500 and reason in answer.json["message"] and "Traceback" not in answer.json["message"]
    assert step(server, token, faults.WELL).json["observation"] == [1.0]


def test_an_environment_that_prints_and_moves_harms_nobody(start: Start) -> None:
    server = start(**FAULTY)
    token = server.create("SharedFaulty-v0")
    reset(server, token)
    assert step(server, token, faults.PRINT).status == 200
    again = server.create("CartPole-v1")
    assert reset(server, again).status == 200


def test_an_environment_that_does_not_replay_is_named_instead_of_trusted(start: Start) -> None:
    server = start(**FAULTY)
    token = server.create("SharedForgetful-v0")
    reset(server, token)
    step(server, token, 0)
    os.kill(server.hosts()[0], signal.SIGKILL)
    answer = step(server, token, 0)
    assert answer.status == 409 and answer.json["error"] == "NotReplayable"
    assert "does not replay identically" in answer.json["message"]
    assert reset(server, token).status == 200
    assert step(server, token, 0).status == 200


def test_state_carried_between_episodes_is_replayed_from_the_beginning(start: Start) -> None:
    server = start(**FAULTY)
    token = server.create("SharedCarrying-v0")
    for _ in range(3):
        reset(server, token)
        step(server, token, 0)
    os.kill(server.hosts()[0], signal.SIGKILL)
    assert step(server, token, 0).json["observation"] == [302.0]


def test_later_episodes_continue_the_generator_after_a_crash(start: Start) -> None:
    server = start()
    token = server.create("CartPole-v1", seed=9)
    local = gymnasium.make("CartPole-v1")
    for episode in range(4):
        expected = local.reset(seed=9 if episode == 0 else None)[0].tolist()
        assert reset(server, token).json["observation"] == expected
        os.kill(server.hosts()[0], signal.SIGKILL)
        assert step(server, token, 1).json["observation"] == local.step(1)[0].tolist()


def test_a_host_that_dies_again_and_again_is_held_back_and_comes_back(start: Start) -> None:
    server = start(RESTART_SECONDS=1, **FAULTY)
    token = server.create("SharedFaulty-v0")
    reset(server, token)
    for _ in range(4):
        assert step(server, token, faults.EXIT).status == 500
    assert step(server, token, faults.WELL).json["observation"] == [1.0]


def test_supervisor_killed_is_replaced_and_instances_revive(start: Start) -> None:
    server = start()
    token = server.create("CartPole-v1")
    reset(server, token, seed=2)
    before = server.supervisor()
    hosts = server.hosts()
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: not any(alive(pid) for pid in hosts))
    assert step(server, token, 1).json["observation"] == cartpole([1], seed=2)[-1]
    assert server.supervisor() != before


def test_random_kills_under_agents_lose_no_step(start: Start, tmp_path: Path) -> None:
    server = start(**FAULTY)
    done = threading.Event()

    def kill() -> None:
        while not done.wait(0.3):
            for pid in server.hosts():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    tokens = [server.create("SharedFaulty-v0") for _ in range(4)]
    killer.start()
    try:
        for token in tokens:
            reset(server, token)
        counts = [[step(server, token, faults.WELL).json for token in tokens] for _ in range(100)]
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


def test_front_door_killed_takes_everything_with_it(start: Start) -> None:
    server = start()
    server.create("CartPole-v1")
    processes = server.processes()
    server.process.kill()
    server.process.wait()
    wait_for(lambda: not [pid for pid in processes if alive(pid)])


def test_idle_instances_are_closed(start: Start) -> None:
    server = start(IDLE_SECONDS=1)
    token = server.create("CartPole-v1")
    wait_for(lambda: token not in server.get("/v1/envs/").json["all_envs"])
    answer = reset(server, token)
    assert answer.status == 400 and answer.json["message"] == f"Instance_id {token} unknown"


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
