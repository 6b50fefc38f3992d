"""Remote environments for many agents in one process: those of `client.make`, with methods to be awaited.

    env = await client.aio.make("CartPole-v1")
    observation, info = await env.reset(seed=0)
    observation, reward, terminated, truncated, info = await env.step(env.action_space.sample())
    await env.close()

Each environment takes one call at a time; any number of environments may be used at once.
"""

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NoReturn, Self

from gymnasium.vector import AutoresetMode

from gymserve.client.environment import decode_rendering
from gymserve.client.transport.address import Address
from gymserve.client.transport.aio import AsyncConnection
from gymserve.client.transport.instance import InstanceRequest
from gymserve.client.transport.patience import Limits


async def make(
    env_id: str,
    *,
    server: str | None = None,
    token: str | None = None,
    num_envs: int | None = None,
    render_mode: str | None = None,
    max_episode_steps: int | None = None,
    autoreset_mode: AutoresetMode | str | None = None,
    wrappers: Sequence[Mapping[str, object]] | None = None,
    compression: str | None = None,
    limits: Limits | None = None,
    **kwargs: object,
) -> "AsyncEnv":
    """A remote environment; with `num_envs` of 2 or more, or an `autoreset_mode`, a vector of them.

    The other arguments are those of `client.make`.

    Raises:
        ServerError: the server refused, or is not there.
    """
    request = InstanceRequest(
        env_id=env_id,
        num_envs=num_envs,
        render_mode=render_mode,
        max_episode_steps=max_episode_steps,
        autoreset_mode=None if autoreset_mode is None else AutoresetMode(autoreset_mode).value,
        wrappers=wrappers,
        kwargs=kwargs,
    )
    address = Address.of(server, token)
    connection = await asyncio.to_thread(AsyncConnection, address, request, limits or Limits(), compression=compression)
    return AsyncEnv(connection)


class AsyncEnv:
    """One remote environment, with a `gymnasium.Env`'s methods to be awaited."""

    def __init__(self, connection: AsyncConnection) -> None:
        instance = connection.instance
        self.connection = connection
        self.instance_id = instance.token
        self.num_envs = instance.num_envs
        self.action_space, self.observation_space = instance.spaces()
        self.metadata = instance.metadata()
        self.render_mode = instance.render_mode
        self.spec = instance.spec(connection.address)

    async def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts an episode; a vector starts one in each copy."""
        return await self.connection.reset(seed, options)

    async def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """(observation, reward, terminated, truncated, info) after `action`."""
        return await self.connection.step(action)

    async def render(self) -> Any:
        """The current state as `client.make`'s environment renders it; of a vector a tuple."""
        return None if self.render_mode is None else decode_rendering(await self.connection.render())

    async def close(self) -> None:
        """Closes the instance on the server, and ends a call that is under way; a second time does nothing."""
        await self.connection.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("an AsyncEnv cannot be copied or pickled: make another one, await client.aio.make(…)")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
