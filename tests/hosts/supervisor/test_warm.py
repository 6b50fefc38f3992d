"""Hosts that have made an environment before it is asked for: whoever asks sees no difference, but the time."""

import os
import signal
from typing import Any

import gymnasium
import numpy as np
import pytest

from gymserve.hosts.supervisor.warm import FAILED_SECONDS, KEPT_SECONDS, QUIET_SECONDS, Prepared
from gymserve.protocol.recipe import Recipe
from tests.support.servers import Server, wait_for

RECIPE = Recipe(env_id="Swimmer-v5", environment="Swimmer-v5", seed=1)


def test_what_was_asked_for_is_made_ready_once_it_is_quiet() -> None:
    prepared = Prepared(1)
    assert prepared.take("a", 0.0) is None and prepared.missing(0.0) is None
    assert prepared.missing(QUIET_SECONDS) == "a"
    prepared.add("a", "d1")
    assert prepared.missing(QUIET_SECONDS) is None and len(prepared) == 1
    assert prepared.take("a", 1.0) == "d1" and prepared.take("a", 1.0) is None


def test_the_kinds_last_asked_for_are_kept_and_the_others_let_go() -> None:
    prepared = Prepared(2)
    for moment, kind in enumerate("abc"):
        prepared.take(kind, float(moment))
    assert prepared.missing(10.0) == "c"
    prepared.add("c", "d1")
    assert prepared.missing(10.0) == "b"
    prepared.add("b", "d2")
    assert prepared.missing(10.0) is None  # a is too long ago
    prepared.take("d", 11.0)
    assert prepared.surplus(11.0) == ["d2"] and prepared.surplus(20.0 + KEPT_SECONDS) == ["d1"]


def test_a_kind_that_fails_is_left_alone_for_a_while() -> None:
    prepared = Prepared(1)
    prepared.take("a", 0.0)
    prepared.add("a", "d1")
    prepared.lost("d1", 5.0)
    prepared.lost("d7", 5.0)  # some other host
    assert prepared.missing(5.0 + FAILED_SECONDS - 1) is None and prepared.missing(5.0 + FAILED_SECONDS) == "a"


def test_with_none_to_be_kept_nothing_is_prepared() -> None:
    prepared = Prepared(0)
    assert prepared.take("a", 0.0) is None and prepared.missing(10.0) is None


@pytest.mark.parametrize(
    "change", [{"kwargs": {"frame_skip": 2}}, {"max_episode_steps": 5}, {"render_mode": "rgb_array"}, {"num_envs": 2}]
)
def test_a_kind_is_all_that_decides_how_an_environment_is_made(change: dict[str, Any]) -> None:
    assert RECIPE.replace(**change).kind != RECIPE.kind
    assert RECIPE.replace(seed=2, env_id="another name", created=1.0).kind == RECIPE.kind


def ready(server: Server, before: list[int]) -> int:
    """The process id of the host that is made ready beside those that there were."""
    (pid,) = wait_for(lambda: sorted(set(server.hosts()) - set(before)))
    return int(pid)


@pytest.mark.needs("egl")
def test_an_instance_in_a_prepared_host_is_as_any_other(start: Any) -> None:
    server: Server = start()
    told = []
    first = server.create("Swimmer-v5", max_episode_steps=20)
    pid = ready(server, server.hosts())
    second = server.create("Swimmer-v5", max_episode_steps=20)
    slot = second.partition("-")[0]
    assert server.get("/health").status == 200 and slot != first.partition("-")[0] and pid in server.hosts()
    hosts = {token: server.get(f"/v1/envs/{token}/").json["host"] for token in (first, second)}
    assert str(pid) in str(hosts[second]) or hosts[second] == slot
    env = gymnasium.make("Swimmer-v5", max_episode_steps=20)
    env.action_space.seed(3)
    actions = [env.action_space.sample() for _ in range(20)]
    for token in (first, second):
        seen = [server.post(f"/v1/envs/{token}/reset/", {"seed": 7}).json["observation"]]
        for action in actions:
            seen.append(server.post(f"/v1/envs/{token}/step/", {"action": action.tolist()}).json["observation"])
        told.append(seen)
    local = [env.reset(seed=7)[0], *(env.step(action)[0] for action in actions)]
    assert told[0] == told[1] and np.array_equal(np.array(told[0]), np.array(local))


@pytest.mark.long
@pytest.mark.needs("egl")
def test_other_kwargs_get_another_environment(start: Any) -> None:
    server: Server = start(ENVIRONMENT_KWARGS={"Swimmer-v5": ["frame_skip"]})
    server.create("Swimmer-v5")
    ready(server, server.hosts())
    other = server.create("Swimmer-v5", kwargs={"frame_skip": 1})
    server.post(f"/v1/envs/{other}/reset/", {"seed": 7})
    env = gymnasium.make("Swimmer-v5", frame_skip=1)
    env.reset(seed=7)
    action = np.ones(2)
    told = server.post(f"/v1/envs/{other}/step/", {"action": action.tolist()}).json["observation"]
    assert np.array_equal(np.array(told), env.step(action)[0])


@pytest.mark.long
@pytest.mark.needs("egl")
def test_a_prepared_host_that_dies_is_no_ones_loss(start: Any) -> None:
    server: Server = start()
    server.create("Swimmer-v5")
    pid = ready(server, server.hosts())
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: pid not in server.hosts())
    token = server.create("Swimmer-v5")
    assert server.post(f"/v1/envs/{token}/reset/").status == 200


@pytest.mark.long
@pytest.mark.needs("egl")
def test_prepared_hosts_take_nobodys_place(start: Any) -> None:
    server: Server = start(MAX_DEDICATED_HOSTS=2)
    first = server.create("Swimmer-v5")
    ready(server, server.hosts())
    server.create("HalfCheetah-v5")  # another kind: the prepared host must not stand in its way
    assert server.post("/v1/envs/", {"env_id": "Swimmer-v5"}).status == 429
    server.post(f"/v1/envs/{first}/close/")
    assert server.post("/v1/envs/", {"env_id": "Swimmer-v5"}).status == 200
