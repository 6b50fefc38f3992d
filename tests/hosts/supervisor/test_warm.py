"""Warm hosts: an environment that was made ahead of time differs from any other only in when it is ready."""

import os
import signal
from typing import Any

import gymnasium
import numpy as np
import pytest

from gymserve.hosts.supervisor.slots import Slots, SlotSettings
from gymserve.hosts.supervisor.warm import KEPT_SECONDS, QUIET_SECONDS, WarmHosts
from gymserve.protocol.recipe import Recipe
from gymserve.settings import Settings
from tests.support.servers import Server, wait_for

RECIPE = Recipe(env_id="Swimmer-v5", environment="Swimmer-v5", seed=1)


def test_a_requested_kind_is_made_again_once_it_is_quiet() -> None:
    warm_hosts = WarmHosts(1)
    assert warm_hosts.claim("a", 0.0) is None and warm_hosts.missing(0.0) is None
    warm_hosts.note_making("a")
    assert warm_hosts.missing(0.0) is None
    assert warm_hosts.missing(QUIET_SECONDS) == "a"
    warm_hosts.add("a", "d1")
    assert warm_hosts.missing(QUIET_SECONDS) is None and len(warm_hosts) == 1
    assert warm_hosts.claim("a", 1.0) == "d1" and warm_hosts.claim("a", 1.0) is None


def test_the_last_requested_kinds_are_kept_and_the_others_dropped() -> None:
    warm_hosts = WarmHosts(2)
    for moment, kind in enumerate("abc"):
        warm_hosts.claim(kind, float(moment))
        warm_hosts.note_making(kind)
    assert warm_hosts.missing(10.0) == "c"
    warm_hosts.add("c", "d1")
    assert warm_hosts.missing(10.0) == "b"
    warm_hosts.add("b", "d2")
    assert warm_hosts.missing(10.0) is None  # "a" was dropped, because only two kinds are kept
    warm_hosts.claim("d", 11.0)
    assert warm_hosts.pop_unused(11.0) == ["d2"] and warm_hosts.pop_unused(20.0 + KEPT_SECONDS) == ["d1"]


def test_a_kind_that_fails_is_not_made_again_for_a_while() -> None:
    warm_hosts = WarmHosts(1)
    warm_hosts.claim("a", 0.0)
    warm_hosts.note_making("a")
    warm_hosts.add("a", "d1")
    warm_hosts.note_end("d7", 5.0)  # some other host
    assert "d1" in warm_hosts
    warm_hosts.note_end("d1", 5.0)
    assert "d1" not in warm_hosts
    assert warm_hosts.missing(64.0) is None and warm_hosts.missing(65.0) == "a"  # after a minute


def test_no_host_is_kept_warm_if_the_setting_is_zero() -> None:
    warm_hosts = WarmHosts(0)
    assert warm_hosts.claim("a", 0.0) is None
    warm_hosts.note_making("a")
    assert warm_hosts.missing(10.0) is None


def test_a_kind_is_not_made_again_until_a_request_for_it_has_made_one() -> None:
    warm_hosts = WarmHosts(1)
    warm_hosts.claim("a", 0.0)
    assert warm_hosts.missing(10.0) is None
    warm_hosts.note_making("b")  # another kind, which needs no host of its own
    assert warm_hosts.missing(10.0) is None
    warm_hosts.note_making("a")
    assert warm_hosts.missing(10.0) == "a"
    warm_hosts.claim("a", 20.0)  # and fails this time
    assert warm_hosts.missing(30.0) is None


def test_a_kind_that_was_made_ahead_is_made_again() -> None:
    some = Slots(Settings().pick(SlotSettings), WarmHosts(1), ())
    some.warm_hosts.claim("a", 0.0)
    some.note_making("a", None)
    assert some.warm_hosts.missing(QUIET_SECONDS) == "a"
    assert some.choose("a", False).startswith("d")  # it is not known to be quick


@pytest.mark.parametrize(
    "change", [{"kwargs": {"frame_skip": 2}}, {"max_episode_steps": 5}, {"render_mode": "rgb_array"}, {"num_envs": 2}]
)
def test_a_kind_is_all_that_decides_how_an_environment_is_made(change: dict[str, Any]) -> None:
    assert RECIPE.replace(**change).kind != RECIPE.kind
    assert RECIPE.replace(seed=2, env_id="another name", created=1.0).kind == RECIPE.kind


def warm_host(server: Server, before: list[int]) -> int:
    """Waits for a new host besides those `before`, and returns its process id."""
    (pid,) = wait_for(lambda: sorted(set(server.hosts()) - set(before)))
    return int(pid)


@pytest.mark.needs("egl")
def test_an_instance_in_a_warm_host_behaves_like_any_other(start: Any) -> None:
    server: Server = start()
    answers = []
    first = server.create("Swimmer-v5", max_episode_steps=20)
    pid = warm_host(server, server.hosts())
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
        answers.append(seen)
    local = [env.reset(seed=7)[0], *(env.step(action)[0] for action in actions)]
    assert answers[0] == answers[1] and np.array_equal(np.array(answers[0]), np.array(local))


@pytest.mark.long
@pytest.mark.needs("egl")
def test_other_kwargs_get_another_environment(start: Any) -> None:
    server: Server = start(ENVIRONMENT_KWARGS={"Swimmer-v5": ["frame_skip"]})
    server.create("Swimmer-v5")
    warm_host(server, server.hosts())
    other = server.create("Swimmer-v5", kwargs={"frame_skip": 1})
    server.post(f"/v1/envs/{other}/reset/", {"seed": 7})
    env = gymnasium.make("Swimmer-v5", frame_skip=1)
    env.reset(seed=7)
    action = np.ones(2)
    observation = server.post(f"/v1/envs/{other}/step/", {"action": action.tolist()}).json["observation"]
    assert np.array_equal(np.array(observation), env.step(action)[0])


@pytest.mark.long
@pytest.mark.needs("egl")
def test_a_warm_host_that_dies_affects_no_request(start: Any) -> None:
    server: Server = start()
    server.create("Swimmer-v5")
    pid = warm_host(server, server.hosts())
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: pid not in server.hosts())
    token = server.create("Swimmer-v5")
    assert server.post(f"/v1/envs/{token}/reset/").status == 200


@pytest.mark.long
@pytest.mark.needs("egl")
def test_warm_hosts_do_not_count_towards_the_limit(start: Any) -> None:
    server: Server = start(MAX_DEDICATED_HOSTS=2)
    first = server.create("Swimmer-v5")
    warm_host(server, server.hosts())
    server.create("HalfCheetah-v5")  # of another kind; the warm host must not count towards the limit
    assert server.post("/v1/envs/", {"env_id": "Swimmer-v5"}).status == 429
    server.post(f"/v1/envs/{first}/close/")
    assert server.post("/v1/envs/", {"env_id": "Swimmer-v5"}).status == 200


@pytest.mark.long
def test_a_kind_that_cannot_be_made_is_not_made_ahead(start: Any) -> None:
    modules = ["tests.support.environments.faulty", "tests.support.environments.unmakable"]
    server: Server = start(ENVIRONMENT_MODULES=modules, PREPARED_HOSTS=2)
    assert server.post("/v1/envs/", {"env_id": "UnmakableFailing-v0"}).status == 500
    for _ in range(2):
        server.create("Faulty-v0")
        warm_host(server, server.hosts())
    assert len(server.hosts()) == 3  # of two instances, and one that is warm
