"""The async client returns what the sync one does, for many agents at once."""

import asyncio

import gymnasium
import pytest

from gymserve import client
from gymserve.client.transport.address import Address
from gymserve.client.transport.aio import connect
from tests.client.trajectories import actions_for, play, same
from tests.support.proxies import Dropping, Listener, NoUpgrades
from tests.support.servers import Server


async def play_remote(env: client.aio.AsyncEnv, actions: list[int], seed: int) -> list[object]:
    answers: list[object] = [await env.reset(seed=seed)]
    for action in actions:
        answer = await env.step(action)
        answers.append(answer)
        if answer[2] or answer[3]:
            answers.append(await env.reset())
    return answers


def test_fifty_agents_at_once_play_as_locally() -> None:
    local = gymnasium.make("CartPole-v1")
    actions = actions_for(local, 60)

    async def agent(seed: int) -> list[object]:
        async with await client.aio.make("CartPole-v1") as env:
            return await play_remote(env, actions, seed)

    async def all_agents() -> list[list[object]]:
        return await asyncio.gather(*(agent(seed) for seed in range(50)))

    for seed, answers in enumerate(asyncio.run(all_agents())):
        assert same(answers, play(local, actions, seed=seed))


@pytest.mark.parametrize("kind", [Dropping, NoUpgrades])
def test_lost_connections_change_no_answers(server: Server, kind: type) -> None:
    local = gymnasium.make("CartPole-v1")
    actions = actions_for(local, 60)
    with Dropping(server.port, 7) if kind is Dropping else NoUpgrades(server.port) as proxy:

        async def agent() -> list[object]:
            async with await client.aio.make("CartPole-v1", server=proxy.url) as env:
                return await play_remote(env, actions, 3)

        answers = asyncio.run(agent())
        expected = play(local, actions, seed=3)
        assert all(same(remote[:-1], here[:-1]) for remote, here in zip(answers, expected, strict=True))
        assert proxy.dropped > 5 if isinstance(proxy, Dropping) else proxy.refused == 1


def test_pictures_vectors_and_large_observations_arrive() -> None:
    async def agent() -> None:
        async with await client.aio.make("CartPole-v1", render_mode="rgb_array") as env:
            await env.reset(seed=0)
            picture = await env.render()
            assert picture is not None and picture.shape == (400, 600, 3)
        async with await client.aio.make("CartPole-v1", num_envs=300) as env:
            assert (await env.reset(seed=0))[0].shape == (300, 4)
            assert (await env.step(env.action_space.sample()))[1].shape == (300,)
        async with await client.aio.make("Large-v0", compression="zstd") as env:
            assert (await env.reset(seed=0))[0].shape == (210, 160, 3)

    asyncio.run(agent())


def test_the_answer_to_a_cancelled_step_is_not_taken_for_the_next() -> None:
    async def agent() -> None:
        async with await client.aio.make("Faulty-v0") as env:
            await env.reset()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(env.step(8), 0.1)
            assert (await env.step(0))[0] == [2.0]

    asyncio.run(agent())


def test_silent_servers_and_refused_calls_raise_errors() -> None:
    async def agent() -> None:
        async with await client.aio.make("CartPole-v1") as env:
            with pytest.raises(client.Conflict, match="reset"):
                await env.step(0)
        await env.close()
        with pytest.raises(client.ServerError, match="closed"):
            await env.step(0)
        with Listener() as listener:
            limits = client.Limits(timeout=0.3, connect_timeout=0.3, patience=0.3)
            with pytest.raises(client.TimedOut):
                await client.aio.make("CartPole-v1", server=listener.url, limits=limits)
            with pytest.raises(client.TimedOut):
                await connect(Address.of(listener.url), "/", limits)

    asyncio.run(agent())
