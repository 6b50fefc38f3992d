"""CartPole over OpenEnv: `serve CPU` prints its port; `act PORT` prints µs per step for each input line of seconds."""

import asyncio
import os
import socket
import sys
import time
from typing import Any

import gymnasium
import uvicorn
from openenv.core.env_server import Action, Environment, Observation, State, create_fastapi_app
from openenv.core.generic_client import GenericEnvClient


class Push(Action):
    action: int


class Seen(Observation):
    observation: list[float]


class CartPole(Environment[Push, Seen, State]):
    def __init__(self) -> None:
        super().__init__()
        self.env = gymnasium.make("CartPole-v1", disable_env_checker=True)

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Seen:
        return Seen(observation=self.env.reset(seed=seed)[0].tolist())

    def step(self, action: Push, timeout_s: float | None = None, **kwargs: Any) -> Seen:
        observation, reward, terminated, truncated, _ = self.env.step(action.action)
        return Seen(observation=observation.tolist(), reward=float(reward), done=terminated or truncated)

    @property
    def state(self) -> State:
        return State()


def serve(cpu: int) -> None:
    os.sched_setaffinity(0, {cpu})
    app = create_fastapi_app(CartPole, Push, Seen)
    # asyncio sets TCP_NODELAY only on a socket that names its protocol.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        print(listener.getsockname()[1], flush=True)
        # The server logs an exception whenever a client disconnects; earlier errors reach the client anyway.
        uvicorn.Server(uvicorn.Config(app, log_level="critical")).run([listener])


async def act(port: int) -> None:
    async with GenericEnvClient(f"ws://127.0.0.1:{port}") as env:
        await env.reset()
        while line := await asyncio.to_thread(sys.stdin.readline):
            seconds, count, began = float(line), 0, time.perf_counter()
            while time.perf_counter() - began < seconds:  # like steps.time_per_step
                for _ in range(50):
                    count += 1
                    if (await env.step({"action": count & 1})).done:
                        await env.reset()
            print((time.perf_counter() - began) / count * 1e6, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        asyncio.run(act(int(sys.argv[2])))
