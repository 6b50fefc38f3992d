"""A vector of instances hands over what is ready first, and survives what fails."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from gymserve import client
from tests.client.environments.gated import END, FAIL, GO, WAIT
from tests.client.trajectories import actions_for, play, same
from tests.client.vectors.vectors import MODES, counts, gated, is_waiting, local, remote
from tests.support.proxies import Dropping, NoUpgrades
from tests.support.servers import Server, wait_for

# --- the first that are ready --------------------------------------------------------------------------------------


@pytest.mark.guarantee("one copy of a vector is slow, or fails")
def test_a_slow_copy_delays_no_other_one(tmp_path: Path) -> None:
    envs = gated(tmp_path, 4, batch_size=2)
    envs.send([GO, WAIT, GO, GO])
    received: list[int] = []
    for _ in range(10):
        step = envs.recv()
        received += step[4]["env_id"].tolist()
        envs.send([GO] * 2, step[4]["env_id"])
    assert set(received) == {0, 2, 3} and len(received) == 20
    (tmp_path / "open").touch()
    while 1 not in received:
        *_, infos = envs.recv()
        received += infos["env_id"].tolist()
    envs.close()


def test_rows_are_those_of_the_copies_that_are_named() -> None:
    envs, twin = remote("Taxi-v4", batch_size=2), local("Taxi-v4", 3, AutoresetMode.NEXT_STEP)
    start, infos = twin.reset(seed=3)
    envs.reset_async(seed=3)
    seen: dict[int, Any] = {}
    while len(seen) < 3:
        observations, rewards, _, _, own = envs.recv()
        assert rewards.tolist() == [0.0] * len(rewards)
        for row, number in enumerate(own["env_id"]):
            seen[number] = observations[row], own["action_mask"][row]
    assert same([seen[number] for number in range(3)], [(start[n], infos["action_mask"][n]) for n in range(3)])
    step = twin.step(np.array([0, 1, 2]))
    envs.send(np.array([2, 0]), env_ids=np.array([2, 0]))
    observations, rewards, terminated, truncated, own = envs.recv()
    assert own["env_id"].tolist() == [0, 2]
    assert same([observations, rewards, terminated, truncated], [part[[0, 2]] for part in step[:4]])
    assert same(own["action_mask"], step[4]["action_mask"][[0, 2]])
    envs.close()
    twin.close()


def test_one_that_takes_too_long_can_be_waited_for_again(tmp_path: Path) -> None:
    envs = gated(tmp_path)
    envs.step_async([GO, WAIT, GO])
    for wait in (envs.step_wait, envs.recv):
        with pytest.raises(client.TimedOut, match="1 copies did not answer within 0.01 s"):
            while True:  # until only the waiting copy has not answered
                try:
                    wait(timeout=0.01)
                except client.TimedOut as error:
                    if error.message.startswith("1 "):
                        raise
    (tmp_path / "open").touch()
    assert counts(envs.step_wait()) == [1, 1, 1]
    envs.close()


# --- what fails ----------------------------------------------------------------------------------------------------


@pytest.mark.guarantee("one copy of a vector is slow, or fails")
def test_the_same_call_after_a_failure_steps_no_copy_twice(tmp_path: Path) -> None:
    envs = gated(tmp_path)
    for _ in range(2):
        with pytest.raises(client.EnvironmentFailed, match="the gate is closed") as caught:
            envs.step([GO, FAIL, GO])
        assert caught.value.env_id == 1 and "copy 1" in caught.value.__notes__[0]
    (tmp_path / "open").touch()
    assert counts(envs.step([GO, FAIL, GO])) == [1, 1, 1]
    assert (tmp_path / "steps").read_text().count("\n") == 3
    envs.close()


def test_another_call_after_a_failure_goes_on_from_what_happened(tmp_path: Path) -> None:
    envs = gated(tmp_path)
    with pytest.raises(client.EnvironmentFailed):
        envs.step([GO, FAIL, GO])
    assert counts(envs.step([GO, GO, GO])) == [1, 1, 1]
    with pytest.raises(client.EnvironmentFailed):
        envs.step([GO, FAIL, GO])
    assert counts(envs.reset()) == [0, 0, 0]
    assert counts(envs.step([GO, GO, GO])) == [1, 1, 1]
    envs.close()


def test_a_reset_that_fails_in_the_same_step_does_not_lose_that_step(tmp_path: Path) -> None:
    envs = gated(tmp_path, autoreset_mode="SameStep")
    for _ in range(2):
        with pytest.raises(client.EnvironmentFailed, match="the gate is closed"):
            envs.step([GO, END, GO])
    (tmp_path / "open").touch()
    observations, rewards, terminated, _, infos = envs.step([GO, END, GO])
    assert observations.tolist() == [[1.0], [0.0], [1.0]] and rewards.tolist() == [GO, END, GO]
    assert terminated.tolist() == [False, True, False] and infos["final_obs"][1] == [1.0]
    assert counts(envs.step([GO, GO, GO])) == [2, 1, 2]
    envs.close()


def test_what_is_received_of_others_is_not_lost_with_one_failure(tmp_path: Path) -> None:
    envs = gated(tmp_path)
    envs.send([GO, FAIL, GO])
    with pytest.raises(client.EnvironmentFailed) as caught:
        envs.recv()
    assert caught.value.env_id == 1
    assert envs.recv()[4]["env_id"].tolist() == [0, 2]
    envs.send([GO], [1])
    assert counts(envs.recv()) == [1]
    envs.close()


@pytest.mark.guarantee("one copy of a vector is slow, or fails")
def test_a_killed_host_goes_unnoticed(tmp_path: Path) -> None:
    envs = gated(tmp_path)
    envs.step([GO, GO, GO])
    envs.step_async([GO, WAIT, GO])
    wait_for(is_waiting(tmp_path))
    pid = int((tmp_path / "waits").read_text())
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: (tmp_path / "waits").read_text() not in ("", str(pid)))
    (tmp_path / "open").touch()
    assert counts(envs.step_wait()) == [2, 2, 2]
    envs.close()


@pytest.mark.long
def test_a_copy_that_exceeds_its_time_fails_alone(tmp_path: Path) -> None:
    envs = gated(tmp_path)
    with pytest.raises(client.StepTimeout) as caught:
        envs.step([GO, WAIT, GO])
    assert caught.value.env_id == 1
    assert counts(envs.step([GO, GO, GO])) == [1, 1, 1]
    envs.close()


@pytest.mark.guarantee("an answer is lost, and the call repeated")
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_lost_answers_change_nothing(server: Server, mode: AutoresetMode) -> None:
    with Dropping(server.port, 5) as proxy:
        envs = remote("FrozenLake-v1", server=proxy.url, autoreset_mode=mode)
        twin = local("FrozenLake-v1", 3, mode)
        actions = actions_for(twin, 40)
        assert same(play(envs, actions), play(twin, actions))
        assert proxy.dropped > 20
        envs.close()


def test_over_http_it_returns_the_same(server: Server) -> None:
    with NoUpgrades(server.port) as proxy:
        envs, twin = remote("FrozenLake-v1", server=proxy.url), local("FrozenLake-v1", 3, AutoresetMode.NEXT_STEP)
        actions = actions_for(twin, 15)
        for one, other in zip(play(envs, actions), play(twin, actions), strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(one[:-1], other[:-1], strict=True))
        envs.close()


def test_if_one_instance_cannot_be_made_none_is_left(server: Server, tmp_path: Path) -> None:
    (tmp_path / "scarce").mkdir()
    before = set(server.get("/v1/envs/").json["all_envs"])
    with pytest.raises(client.ServerError, match="no third one"):
        gated(tmp_path / "scarce", 4)
    assert set(server.get("/v1/envs/").json["all_envs"]) <= before


@pytest.mark.long
def test_a_limit_refuses_all_copies_and_leaves_none(start: Callable[..., Server]) -> None:
    own = start(MAX_DEDICATED_HOSTS=3, PREPARED_HOSTS=0, ENVIRONMENT_MODULES=["tests.support.environments.faulty"])
    with pytest.raises(client.LimitReached, match="MAX_DEDICATED_HOSTS = 3"):
        remote("Faulty-v0", 4, server=own.url)
    assert own.get("/v1/envs/").json["all_envs"] == {}
    remote("Faulty-v0", 3, server=own.url).close()


# --- misuse --------------------------------------------------------------------------------------------------------


def test_misuse_is_one_clear_error_that_changes_nothing(tmp_path: Path) -> None:
    envs = gated(tmp_path)
    for call, needed in ((envs.step_wait, "step_async"), (envs.reset_wait, "reset_async"), (envs.recv, "send")):
        with pytest.raises(client.Conflict, match=f"{needed}.*|nothing is under way"):
            call()
    for actions, numbers in (([GO], None), ([GO, GO], [1]), ([GO, GO], [1, 1]), ([GO], [3]), ([7], [0]), ([GO], [-1])):
        with pytest.raises(client.InvalidValue):
            envs.send(actions, numbers)
    with pytest.raises(client.InvalidValue, match=r"action\[2\]"):
        envs.step([GO, GO, 4])
    envs.send([GO], [1])
    for again in (lambda: envs.step([GO] * 3), lambda: envs.send([GO], [1]), envs.reset):
        with pytest.raises(client.Conflict, match=r"copies \[1\] have not answered"):
            again()
    with pytest.raises(client.Conflict, match="step is under way"):
        envs.step_wait()
    envs.send([GO, GO], [0, 2])
    with pytest.raises(client.Conflict, match="step is under way"):
        envs.reset_wait()
    assert counts(envs.step_wait()) == [1, 1, 1]
    envs.close()


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"batch_size": 4}, {"autoreset_mode": "Never"}])
def test_unknown_options_are_errors(options: dict[str, Any]) -> None:
    with pytest.raises((client.InvalidRequest, ValueError)):
        remote("CartPole-v1", **options)


def test_a_challenge_is_not_played_in_parallel() -> None:
    with pytest.raises(client.InvalidRequest, match="client.make"):
        remote("challenge:cartpole")
    with pytest.raises(ValueError, match="parallel"):
        client.make_vec("CartPole-v1", 2, vectorization_mode="parallel")


def test_closing_ends_what_is_under_way(tmp_path: Path) -> None:
    envs = gated(tmp_path)
    envs.send([GO, WAIT, GO])
    with ThreadPoolExecutor(1) as other:
        step = other.submit(envs.step_wait)
        wait_for(is_waiting(tmp_path))
        opening = Timer(0.2, (tmp_path / "open").touch)  # the host answers nothing else before
        opening.start()
        envs.close()
        with pytest.raises(client.ServerError, match="this environment is closed"):
            step.result()
    envs.close()
    for call in (lambda: envs.step([GO] * 3), envs.reset, envs.recv, envs.step_wait):
        with pytest.raises(client.ServerError, match="this environment is closed"):
            call()
    opening.join()


def test_a_forked_process_is_told_to_make_its_own() -> None:
    envs = remote("CartPole-v1")
    envs.reset(seed=0)
    if not (child := os.fork()):
        try:
            envs.step(np.zeros(3, np.int64))
        except client.ServerError as error:
            envs.close()
            os._exit("after the fork" in error.message)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert len(envs.step(np.zeros(3, np.int64))) == 5
    envs.close()
