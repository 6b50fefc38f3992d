"""What an agent must not do with its environment is one clear error, after which the environment goes on."""

import asyncio
import copy
import gc
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gymnasium
import numpy as np
import pytest

from gymserve import client
from tests.client.trajectories import same
from tests.support.servers import Server, wait_for

SLOW = 8


def started(server: Server, env: Any, steps: int) -> bool:
    """Whether the host is in the step after `steps` others."""
    return bool(server.get(f"/v1/envs/{env.instance_id}/").json["steps"] >= steps)


@pytest.mark.guarantee("an agent asks two questions at once, of one environment")
def test_a_second_thread_is_refused_and_the_first_goes_on() -> None:
    env = client.make("Faulty-v0")
    env.reset(seed=0)
    generator = env.np_random
    with ThreadPoolExecutor(1) as other:
        first = other.submit(env.step, SLOW)
        wait_for(env.connection._conversation.turn.locked)
        for call in (lambda: env.step(0), lambda: env.reset(seed=1)):
            with pytest.raises(client.Conflict, match="one call at a time"):
                call()
        assert env.np_random is generator
        assert first.result()[0] == [1.0]
    assert env.step(0)[0] == [2.0]
    env.close()


def test_four_threads_get_results_of_their_own_calls_or_are_refused() -> None:
    env = client.make("CartPole-v1")
    env.reset(seed=0)
    answers: list[Any] = []

    def ask(number: int) -> None:
        for _ in range(100):
            try:
                answer = env.step(0) if number else env.reset()
                assert len(answer) == (5 if number else 2) and answer[0].shape == (4,)
                answers.append(answer)
            except client.Conflict:
                pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(4)))
    assert answers and len(env.reset(seed=0)) == 2 and len(env.step(0)) == 5
    env.close()


@pytest.mark.guarantee("an agent asks two questions at once, of one environment")
def test_a_second_task_is_refused_and_the_first_goes_on() -> None:
    async def agent() -> None:
        async with await client.aio.make("Faulty-v0") as env:
            await env.reset(seed=0)
            for _ in range(2):
                first, second, third = await asyncio.gather(
                    env.step(0), env.step(SLOW), env.reset(), return_exceptions=True
                )
                assert isinstance(first, tuple) and len(first) == 5
                assert isinstance(second, client.Conflict) and isinstance(third, client.Conflict)
            assert (await env.step(0))[0] == [3.0]
            assert (await env.reset())[0] == [0.0]

    asyncio.run(agent())


def test_a_cancelled_call_lets_the_next_one_begin() -> None:
    async def agent() -> None:
        async with await client.aio.make("Faulty-v0") as env:
            await env.reset(seed=0)
            step = asyncio.create_task(env.step(SLOW))
            await asyncio.sleep(0)
            step.cancel()
            with pytest.raises(asyncio.CancelledError):
                await step
            assert (await env.step(0))[0] == [2.0]

    asyncio.run(agent())


def test_an_async_environment_outlives_its_event_loop() -> None:
    env = asyncio.run(client.aio.make("Faulty-v0"))
    asyncio.run(env.reset(seed=0))
    assert asyncio.run(env.step(0))[0] == [1.0]
    assert asyncio.run(env.step(0))[0] == [2.0]
    asyncio.run(env.close())
    gc.collect()


def test_closing_ends_a_call_under_way() -> None:
    env = client.make("Faulty-v0")
    env.reset()
    with ThreadPoolExecutor(1) as other:
        step = other.submit(env.step, SLOW)
        wait_for(env.connection._conversation.turn.locked)
        env.close()
        with pytest.raises(client.ServerError, match="this environment is closed"):
            step.result()

    async def agent() -> None:
        env = await client.aio.make("Faulty-v0")
        await env.reset()
        step = asyncio.create_task(env.step(SLOW))
        await asyncio.sleep(0)
        await env.close()
        with pytest.raises(client.ServerError, match="this environment is closed"):
            await step

    asyncio.run(agent())


def test_an_agent_that_meets_another_one_goes_on_with_the_same_call(server: Server) -> None:
    env = client.make("CartPole-v1")
    env.reset(seed=0)
    server.post(f"/v1/envs/{env.instance_id}/step/", {"seq": 2, "action": 1})
    with pytest.raises(client.KeyReused):
        env.step(0)
    assert len(env.step(0)) == 5
    server.post(f"/v1/envs/{env.instance_id}/reset/", {"seq": 4})
    server.post(f"/v1/envs/{env.instance_id}/step/", {"seq": 5, "action": 1})
    with pytest.raises(client.OutOfSequence):
        env.step(0)
    assert len(env.step(0)) == 5
    env.close()


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["copy", "pickle"])
def test_a_copy_is_a_new_instance_made_in_the_same_way(clone: Any) -> None:
    env = client.make("FrozenLake-v1", map_name="8x8", max_episode_steps=5, compression="zstd")
    other = clone(gymnasium.wrappers.TimeLimit(env, 3))
    assert other.unwrapped.instance_id != env.instance_id
    assert same(other.reset(seed=3), env.reset(seed=3)) and same(other.step(1), env.step(1))
    assert other.unwrapped.spec.kwargs == env.spec.kwargs and other.observation_space.n == 64
    other.close()
    env.close()
    envs = client.make_vec("CartPole-v1", num_envs=3, autoreset_mode="SameStep")
    others = clone(envs)
    assert others.instance_id != envs.instance_id and others.metadata == envs.metadata
    assert np.array_equal(others.reset(seed=1)[0], envs.reset(seed=1)[0])
    others.close()
    envs.close()


def test_a_pickle_holds_no_token() -> None:
    env = client.make("CartPole-v1", token="a-secret")
    assert b"a-secret" not in pickle.dumps(env)
    assert copy.deepcopy(env).connection.address.token == "a-secret"
    env.close()


def test_an_async_environment_says_that_it_cannot_be_copied() -> None:
    env = asyncio.run(client.aio.make("CartPole-v1"))
    for clone in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match=r"await client\.aio\.make"):
            clone(env)
    asyncio.run(env.close())


def test_a_forked_process_has_a_connection_of_its_own() -> None:
    env = client.make("CartPole-v1")
    env.reset(seed=0)
    turn = env.connection._conversation.turn
    with turn:  # another thread is in a step
        child = os.fork()
        if not child:
            os._exit(0 if env.connection._conversation.stream is None and len(env.step(0)) == 5 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with pytest.raises((client.OutOfSequence, client.KeyReused)):
        env.step(1)
    assert len(env.step(1)) == 5
    env.close()


def test_a_closed_environment_says_so_in_every_call() -> None:
    env = client.make("CartPole-v1", render_mode="rgb_array")
    env.reset()
    threads = [threading.Thread(target=env.close) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for call in (lambda: env.step(0), env.render):
        with pytest.raises(client.ServerError, match="this environment is closed: make a new one"):
            call()
