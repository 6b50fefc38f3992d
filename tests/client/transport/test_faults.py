"""What the client promises when the network or the server fails: agents do not notice, or get a clear error."""

import asyncio
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from gymserve import client
from gymserve.client.transport.address import Address
from gymserve.client.transport.sync import SyncStream
from gymserve.protocol import wire
from tests.client.environments import mapping  # noqa: F401  it registers the local twins
from tests.client.trajectories import actions_for, play, same
from tests.support.proxies import Dropping, Forward, Listener, NoUpgrades
from tests.support.servers import Server

QUICK = client.Limits(timeout=0.5, connect_timeout=0.5, patience=0.5)


@pytest.mark.guarantee("an answer is lost, and the call repeated")
@pytest.mark.parametrize(
    ("nth", "count"),
    [(2, 15), (3, 60), *(pytest.param(*some, marks=pytest.mark.long) for some in ((7, 150), (20, 300)))],
)
@pytest.mark.parametrize("env_id", ["CartPole-v1", "Blackjack-v1"])
def test_lost_answers_change_nothing(server: Server, env_id: str, nth: int, count: int) -> None:
    local = gymnasium.make(env_id)
    actions = actions_for(local, count)
    with Dropping(server.port, nth) as proxy:
        remote = client.make(env_id, server=proxy.url)
        assert same(play(remote, actions), play(local, actions))
        assert proxy.dropped > count // nth // 2
        assert server.get(f"/v1/envs/{remote.instance_id}/").json["steps"] == count
        remote.close()


@pytest.mark.guarantee("an answer is lost, and the call repeated")
def test_the_environment_itself_steps_once_per_request(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "steps"
    with Dropping(server.port, 5) as proxy:
        env = client.make("Counting-v0", file=str(file), server=proxy.url)
        play(env, [0] * 300)
        env.close()
    assert proxy.dropped > 50
    assert file.read_text().count("\n") == 300


def test_without_seq_the_same_losses_double_steps(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "steps"
    token = server.create("Counting-v0", kwargs={"file": str(file)})
    server.post(f"/v1/envs/{token}/reset/")
    with Dropping(server.port, 5) as proxy:
        stream: SyncStream | None = None
        done = 0
        while done < 100:
            try:
                stream = stream or SyncStream(Address.of(proxy.url), f"/v1/envs/{token}/stream", client.Limits(5, 5))
                stream.exchange(wire.pack((wire.STEP, None, 0)))
                done += 1
            except client.ConnectionLost:
                if stream:
                    stream.close()
                stream = None
        if stream:
            stream.close()
    assert file.read_text().count("\n") > 100


def test_a_lost_answer_to_create_leaves_one_instance(server: Server) -> None:
    before = len(server.get("/v1/envs/").json["all_envs"])
    with Dropping(server.port, 2) as proxy:
        envs = [client.make("CartPole-v1", server=proxy.url) for _ in range(5)]
        assert proxy.dropped == 4  # the first answer to each creation but one
    assert len(server.get("/v1/envs/").json["all_envs"]) == before + 5
    for env in envs:
        env.close()


def test_killed_hosts_go_unnoticed(start: Callable[..., Server]) -> None:
    own = start()
    local, remote = gymnasium.make("CartPole-v1"), client.make("CartPole-v1", server=own.url)
    actions = actions_for(local, 40)
    local.reset(seed=7)
    remote.reset(seed=7)
    for number, action in enumerate(actions):
        if number % 5 == 4:
            for pid in own.hosts():
                os.kill(pid, signal.SIGKILL)
        answer = local.step(action)
        assert same(remote.step(action), answer)
        if answer[2]:
            assert same(remote.reset(), local.reset())
    remote.close()


@pytest.mark.long
def test_a_killed_server_that_is_started_again_goes_unnoticed(start: Callable[..., Server]) -> None:
    own = start()
    local = gymnasium.make("Pendulum-v1")
    actions = actions_for(local, 10)
    whole = play(local, actions)
    with Dropping(own.port, nth=10**9) as road:
        remote = client.make("Pendulum-v1", server=road.url)
        assert same(play(remote, actions[:5]), whole[:6])
        own.kill()
        remote.connection.limits = QUICK
        with pytest.raises(client.ConnectionLost, match="is the server running"):
            remote.step(actions[5])
        own.start()
        road.target = own.port
        remote.connection.limits = client.Limits()
        assert same([remote.step(action) for action in actions[5:]], whole[6:])
        remote.close()


@pytest.mark.parametrize("ping_seconds", [0.1, pytest.param(0.5, marks=pytest.mark.long)])
def test_pings_and_being_dropped_for_silence_go_unnoticed(start: Callable[..., Server], ping_seconds: float) -> None:
    own = start(STREAM_PING_SECONDS=ping_seconds)
    local, remote = gymnasium.make("Pendulum-v1"), client.make("Pendulum-v1", server=own.url)
    assert same(remote.reset(seed=7), local.reset(seed=7))
    for action in actions_for(local, 3):
        assert remote.connection._conversation.stream is not None
        select.select(
            [remote.connection._conversation.stream._sock], [], [], 30
        )  # until the server sends something by itself
        assert same(remote.step(action), local.step(action))
    remote.close()


def test_a_hung_environment_is_an_error_with_its_reason(server: Server) -> None:
    env = client.make("Faulty-v0")
    env.reset()
    assert env.step(0)[0] == [1.0]
    with pytest.raises(client.StepTimeout):
        env.step(1)
    assert env.step(0)[0] == [2.0]
    env.close()


def test_a_failing_environment_is_an_error_with_its_reason() -> None:
    env = client.make("Faulty-v0")
    env.reset()
    with pytest.raises(client.EnvironmentFailed, match="the muscles are tired"):
        env.step(5)
    assert env.step(0)[1] == 1.0
    with pytest.raises(client.EnvironmentFailed):
        env.step(2)
    env.reset()
    env.close()


def in_a_hurry(env_id: str) -> client.RemoteEnv:
    """A remote environment after a reset, whose next stream waits 0.2 seconds for an answer."""
    env = client.make(env_id)
    env.reset()
    conversation = env.connection._conversation
    assert conversation.stream is not None
    conversation.stream.close()
    conversation.stream = None
    env.connection.limits = client.Limits(timeout=0.2)
    return env


def test_a_late_answer_is_the_answer_to_the_repeated_call() -> None:
    env = in_a_hurry("Faulty-v0")
    with pytest.raises(client.TimedOut, match=r"0\.2 s"):
        env.step(8)
    env.connection.limits = client.Limits()
    assert env.step(8)[0] == [1.0]  # the same call: its answer
    assert env.step(0)[0] == [2.0]
    env.close()


def test_another_call_after_a_late_answer_goes_on_from_what_happened() -> None:
    env = in_a_hurry("Faulty-v0")
    with pytest.raises(client.TimedOut):
        env.step(8)
    env.connection.limits = client.Limits()
    assert env.step(0)[0] == [2.0]
    env.close()


def test_another_client_on_the_same_instance_is_an_error(server: Server) -> None:
    env = client.make("CartPole-v1")
    env.reset()
    server.post(f"/v1/envs/{env.instance_id}/reset/", {"seq": 2})
    server.post(f"/v1/envs/{env.instance_id}/step/", {"seq": 3, "action": 0})
    with pytest.raises(client.OutOfSequence, match="expected 4"):
        env.step(0)
    env.reset()
    env.step(0)
    env.close()


def test_a_server_that_never_answers_is_given_up() -> None:
    with Listener() as listener:
        began = time.monotonic()
        with pytest.raises(client.TimedOut):
            client.make("CartPole-v1", server=listener.url, limits=QUICK)
        with pytest.raises(client.TimedOut):
            SyncStream(Address.of(listener.url), "/", client.Limits(0.3, 0.3))
        assert time.monotonic() - began < 60


def test_https_to_a_port_without_tls_is_an_error_that_says_so(server: Server) -> None:
    with pytest.raises(client.NotReachable, match=f"not over TLS: use {server.url}"):
        client.make("CartPole-v1", server=server.url.replace("http:", "https:"))


def test_no_server_is_an_error_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(client.NotReachable, match="start one with"):
        client.make("CartPole-v1", server="http://127.0.0.1:1")
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("url", ["localhost:5000", "ftp://here", "http://", "http://here:99999"])
def test_an_invalid_address_is_an_error(url: str) -> None:
    with pytest.raises(client.InvalidRequest, match="URL"):
        client.make("CartPole-v1", server=url)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Blackjack-v1", "Mapping-v0"])
def test_http_gives_the_same_results_if_no_stream_gets_through(server: Server, env_id: str) -> None:
    with NoUpgrades(server.port) as proxy:
        local, remote = gymnasium.make(env_id), client.make(env_id, server=proxy.url)
        actions = actions_for(local, 30)
        for one, other in zip(play(remote, actions), play(local, actions), strict=True):
            assert same(one[:-1], other[:-1])
        remote.close()
        assert proxy.refused == 1


def test_over_http_lost_answers_change_nothing_either(server: Server) -> None:
    local: Any = gymnasium.make("CartPole-v1")
    actions = actions_for(local, 100)
    with Dropping(server.port, 7) as lossy:
        remote = client.make("CartPole-v1", server=lossy.url)
        remote.connection._conversation.over_http = True
        for one, other in zip(play(remote, actions), play(local, actions), strict=True):
            assert same(one[:-1], other[:-1])
        assert lossy.dropped > 10
        assert remote.connection._conversation.stream is None
        remote.close()


@pytest.mark.parametrize("connects", [True, False])
def test_a_proxy_is_used_if_it_is_the_only_way(server: Server, monkeypatch: pytest.MonkeyPatch, connects: bool) -> None:
    local = gymnasium.make("CartPole-v1")
    actions = actions_for(local, 10)
    with Forward(server.port, connects=connects) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("http://", "http://me:a%20word@"))
        env = client.make("CartPole-v1", server="http://gymserve.test", limits=client.Limits(patience=2))
        for one, other in zip(play(env, actions), play(local, actions), strict=True):
            assert same(one[:-1], other[:-1])
        assert (env.connection._conversation.stream is not None) == connects
        env.close()
        assert client.Client("http://gymserve.test").env_list_all() is not None

        async def agent() -> None:
            async with await client.aio.make("CartPole-v1", server="http://gymserve.test") as another:
                assert same((await another.reset(seed=7))[0], local.reset(seed=7)[0])

        asyncio.run(agent())
        assert all(b"Proxy-Authorization: Basic bWU6YSB3b3Jk\r\n" in request for request in proxy.requests)
        assert any(request.startswith(b"CONNECT gymserve.test:80 ") for request in proxy.requests)
        monkeypatch.setenv("NO_PROXY", "gymserve.test")
        with pytest.raises(client.NotReachable):
            client.make("CartPole-v1", server="http://gymserve.test")
        client.make("CartPole-v1", server=server.url).close()  # never by a proxy to this machine itself
