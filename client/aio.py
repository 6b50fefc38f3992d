"""Remote environments for many agents in one process: the same as `client.make`, to be awaited.

    env = await client.aio.make("CartPole-v1")
    observation, info = await env.reset(seed=0)
    observation, reward, terminated, truncated, info = await env.step(env.action_space.sample())
    await env.close()

One question at a time on each environment; any number of environments at once.
"""

import asyncio
from types import TracebackType
from typing import Any, Self

import numpy as np
from gymnasium.vector import AutoresetMode

from client.address import Address
from client.conversation import CLOSE, LIMIT, RENDER, Conversation
from client.environment import picture
from client.exceptions import ConnectionLost, NotReachable, ServerError, TimedOut, TooFast, Unavailable
from client.handshake import Handshake
from client.http import Http
from client.instance import Instance, Limits, Order
from client.patience import Patience
from client.recovery import UNSURE, Connect, Exchange, Pause, Script, Wait, ask
from client.stream import prepare
from gymserve import wire


async def make(
    env_id: str,
    *,
    server: str | None = None,
    token: str | None = None,
    num_envs: int | None = None,
    render_mode: str | None = None,
    max_episode_steps: int | None = None,
    autoreset_mode: AutoresetMode | str | None = None,
    compression: str | None = None,
    limits: Limits | None = None,
    **kwargs: Any,
) -> "AsyncEnv":
    """A remote environment; with `num_envs` of 2 or more, a vector of them.

    Raises:
        ServerError: the server refused, or is not there.
    """
    limits = limits or Limits()
    address = Address.of(server, token)
    mode = AutoresetMode(autoreset_mode).value if autoreset_mode is not None else None
    order = Order(env_id, num_envs, render_mode, max_episode_steps, mode, kwargs)
    http = Http(address, timeout=limits.timeout, connect_timeout=limits.connect_timeout)
    try:
        instance = await asyncio.to_thread(order.make, http, limits)
        return AsyncEnv(instance, http, limits, compression=compression)
    except BaseException:
        http.close()
        raise


class AsyncEnv:
    """One remote environment, with a `gymnasium.Env`'s methods to be awaited."""

    def __init__(self, instance: Instance, http: Http, limits: Limits, *, compression: str | None) -> None:
        self.instance = instance
        self.instance_id = instance.token
        self.address = http.address
        self.limits = limits
        self.num_envs = instance.num_envs
        self.action_space, self.observation_space = instance.spaces()
        self.metadata = instance.metadata()
        self.render_mode = instance.render_mode
        self.spec = instance.spec(http.address, "client:make")
        self._http = http
        self._talk = Conversation(instance, compression=compression)
        self._stream: Stream | None = None
        self._closed = False

    async def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        return await self._answer(self._talk.reset(seed, options))  # type: ignore[no-any-return]

    async def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        return await self._answer(self._talk.step(action))  # type: ignore[no-any-return]

    async def render(self) -> np.ndarray[Any, Any] | None:
        """The current state as (height, width, 3) uint8; None if it was not made to be rendered."""
        return None if self.render_mode is None else picture(await self._answer(self._talk.plain(RENDER)))

    async def close(self) -> None:
        """Closes the instance on the server; a second time does nothing."""
        if self._closed:
            return
        self._talk.plain(CLOSE)
        self._closed = True
        self._abandon()
        try:
            await asyncio.to_thread(self._http.call, *self._talk.http())
        except ServerError:
            pass  # closed already, or the server is away: it closes idle instances itself
        finally:
            self._http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # The same as `client.connection`, with `await`.

    async def _answer(self, message: bytes) -> Any:
        if self._stream is None:
            return await self._carry_out(lost=0)
        try:
            return self._talk.read(await self._stream.exchange(message))
        except (ConnectionLost, Unavailable) as error:
            self._abandon()
            return await self._carry_out(lost=isinstance(error, ConnectionLost))
        except TooFast:
            return await self._carry_out(lost=0)
        except UNSURE:
            self._talk.unresolved = self._talk.asked
            self._abandon()
            raise
        except ServerError:
            raise
        except BaseException:  # cancelled: the answer is still to come, and not to be taken for the next one's
            self._talk.unresolved = self._talk.asked
            self._abandon()
            raise

    async def _carry_out(self, *, lost: int) -> Any:
        if self._closed:
            raise ServerError("this environment is closed: make a new one")
        script: Script = ask(self._talk, Patience(self.limits.patience), lost=lost)
        result: Any = None
        error: BaseException | None = None
        while True:
            try:
                command = script.send(result) if error is None else script.throw(error)
            except StopIteration as end:
                return end.value
            try:
                result, error = await self._do(command), None
            except Exception as raised:
                result, error = None, raised

    async def _do(self, command: Any) -> Any:
        try:
            if isinstance(command, Exchange):
                assert self._stream is not None
                return await self._stream.exchange(command.message)
        except BaseException:
            self._abandon()
            raise
        if isinstance(command, Pause):
            self._abandon()
            return await asyncio.sleep(command.seconds)
        if isinstance(command, Wait):
            return await asyncio.sleep(command.seconds)
        if isinstance(command, Connect):
            if self._stream is None:
                self._stream = await connect(self.address, self._talk.target, self.limits)
            return None
        return await asyncio.to_thread(self._http.call, *command)

    def _abandon(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


async def connect(address: Address, target: str, limits: Limits) -> "Stream":
    """An open stream.

    Raises:
        NotReachable, TimedOut, ConnectionLost: the server is not there, or hangs.
        CannotUpgrade: something in between knows no WebSocket.
        ServerError: the server refused.
    """
    loop = asyncio.get_running_loop()
    stream = Stream(address, limits.timeout, Handshake(address, target))
    try:
        async with asyncio.timeout(limits.connect_timeout):
            await loop.create_connection(lambda: stream, address.host, address.port, ssl=address.tls())
    except OSError as error:  # TimeoutError is one
        raise NotReachable(f"no server answers at {address}: {error or 'it takes too long'}") from error
    try:
        async with asyncio.timeout(limits.connect_timeout):
            await stream.opened
    except TimeoutError as error:
        stream.close()
        raise TimedOut(f"{address} accepted a connection, and did not answer its handshake in time") from error
    except BaseException:
        stream.close()
        raise
    return stream


class Stream(asyncio.Protocol):
    """The stream's socket in an event loop."""

    def __init__(self, address: Address, timeout: float, handshake: Handshake) -> None:
        self.address = address
        self.timeout = timeout
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self._handshake: Handshake | None = handshake
        self._frames = wire.Frames(limit=LIMIT, expect_mask=False)
        self._waiter: asyncio.Future[Any] | None = None
        self._ended = False
        self._transport: Any = None

    async def exchange(self, message: bytes) -> Any:
        """The answer to `message`.

        Raises:
            ConnectionLost, TimedOut: there is none; the stream cannot be used any more.
        """
        if self._ended:
            raise ConnectionLost(f"{self.address} ended the connection")
        if self._waiter is not None:
            raise RuntimeError("one question at a time: the last one is not answered yet")
        self._waiter = waiter = self._loop.create_future()
        self._transport.write(wire.frame(wire.BINARY, message, mask=True))
        alarm = self._loop.call_later(self.timeout, self._late)
        try:
            return await waiter
        finally:
            alarm.cancel()
            self._waiter = None

    def close(self) -> None:
        """Says good-bye and closes."""
        self._ended = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(wire.frame(wire.CLOSING, wire.closing(1000), mask=True))
            self._transport.close()

    # --- what the event loop calls -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None:
            prepare(sock)
        assert self._handshake is not None
        self._transport.write(self._handshake.request)

    def data_received(self, data: bytes) -> None:
        if self._handshake is not None:
            self._shake_hands(data)
            return
        waiter = self._waiter
        small = len(data) > 2 and data[0] == 0x82 and data[1] == len(data) - 2 < 126
        if small and waiter and not waiter.done() and not self._frames.holding:  # nearly always
            waiter.set_result(data[2:])
            return
        try:
            self._take(data)
        except wire.ProtocolError as error:
            self._lost(ConnectionLost(f"the connection to {self.address} was lost: {error}"))
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._handshake is not None:
            self._shake_hands(b"")
        self._lost(ConnectionLost(f"{self.address} ended the connection" + (f": {error}" if error else "")))

    # --- inside --------------------------------------------------------------------------------------------------

    def _shake_hands(self, data: bytes) -> None:
        handshake = self._handshake
        if handshake is None or self.opened.done() or not handshake.feed(data):
            return
        self._handshake = None
        try:
            if not handshake.status:
                raise ConnectionLost(f"{self.address} ended the connection in its handshake")
            early = handshake.check()
            self.opened.set_result(None)
            self._take(early)
        except Exception as error:
            self.opened.set_exception(error) if not self.opened.done() else self._lost(ConnectionLost(str(error)))

    def _take(self, data: bytes) -> None:
        for opcode, payload in self._frames.feed(data):
            if opcode == wire.BINARY:
                if self._waiter is not None and not self._waiter.done():
                    self._waiter.set_result(payload)
            elif opcode == wire.PING:
                self._transport.write(wire.frame(wire.PONG, payload, mask=True))
            elif opcode == wire.CLOSING:
                self._lost(ConnectionLost(f"{self.address} ended the connection"))

    def _late(self) -> None:
        self._lost(TimedOut(f"{self.address} did not answer within {self.timeout:g} s"))

    def _lost(self, error: ServerError) -> None:
        self._ended = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
