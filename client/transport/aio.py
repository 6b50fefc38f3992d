"""The connection and the stream of `client.aio.make`, in an event loop."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

from gymserve.client.transport import sockets
from gymserve.client.transport.address import Address
from gymserve.client.transport.connection import Connection
from gymserve.client.transport.conversation import Command, Connect, Exchange, Flow, Sleep
from gymserve.client.transport.exceptions import BUSY, Conflict, ConnectionLost, NotReachable, ServerError, TimedOut
from gymserve.client.transport.http_format import Call
from gymserve.client.transport.patience import Limits
from gymserve.client.transport.websocket import Handshake, Incoming, goodbye
from gymserve.protocol import wire


class AsyncConnection(Connection["AsyncStream"]):
    """A connection whose results are awaited. Making it blocks: do that in a thread."""

    async def close(self) -> None:
        """Closes the instance and ends a request that is under way; a second time does nothing."""
        if self._conversation.close():
            await asyncio.to_thread(self._close_instance)

    async def _send(self, build: Callable[..., bytes], *arguments: object) -> Any:
        conversation = self._conversation
        if not conversation.turn.acquire(False):
            raise Conflict(BUSY)
        try:
            message = build(*arguments)
            stream = conversation.stream
            if stream is None:
                return await self._run(self._flow())
            try:
                return conversation.read(await stream.exchange(message))
            except BaseException as error:
                return await self._run(self._flow(error))
        finally:
            conversation.turn.release()

    async def _run(self, flow: Flow["AsyncStream"]) -> Any:
        try:
            command = next(flow)
            while True:
                try:
                    result = await self._do(command)
                except BaseException as error:
                    command = flow.throw(error)
                else:
                    command = flow.send(result)
        except StopIteration as end:
            return end.value

    async def _do(self, command: Command["AsyncStream"]) -> Any:
        match command:
            case Exchange(stream, message):
                return await stream.exchange(message)
            case Connect(target):
                return await connect(self.address, target, self.limits)
            case Sleep(seconds):
                return await asyncio.sleep(seconds)
            case Call():
                return await asyncio.to_thread(self._http.call, *command)


async def connect(address: Address, target: str, limits: Limits) -> "AsyncStream":
    """An open stream.

    Raises:
        NotReachable, TimedOut, ConnectionLost: the server is not there, or hangs.
        CannotUpgrade: something on the way does not speak WebSocket.
        ServerError: the server refused.
    """
    loop = asyncio.get_running_loop()
    stream = AsyncStream(address, Handshake(address, target), timeout=limits.timeout)
    try:
        async with asyncio.timeout(limits.connect_timeout):
            sock = await asyncio.to_thread(sockets.connect, address, timeout=limits.connect_timeout)
            sock.setblocking(False)
            stream.socket = sock
            name = address.host if address.scheme == "https" else None
            await loop.create_connection(lambda: stream, sock=sock, ssl=address.tls(), server_hostname=name)
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


class AsyncStream(asyncio.Protocol):
    """A stream in an event loop, open once `opened` is done."""

    def __init__(self, address: Address, handshake: Handshake, *, timeout: float) -> None:
        self.address = address
        self.timeout = timeout
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self._handshake: Handshake | None = handshake
        self._incoming = Incoming()
        self._waiter: asyncio.Future[bytes] | None = None
        self._ended = False
        self._transport: asyncio.Transport | None = None
        self.socket: socket.socket | None = None  # the transport's

    async def exchange(self, message: bytes) -> bytes:
        """The reply to `message`.

        Raises:
            ConnectionLost, TimedOut: no reply came; the stream can no longer be used.
        """
        if self._ended or self._transport is None:
            raise ConnectionLost(f"{self.address} ended the connection")
        if self._loop is not asyncio.get_running_loop():
            raise ConnectionLost("the connection belongs to another event loop")
        self._waiter = waiter = self._loop.create_future()
        self._transport.write(wire.frame(wire.BINARY, message, mask=True))
        alarm = self._loop.call_later(self.timeout, self._late)
        try:
            return await waiter
        finally:
            alarm.cancel()
            self._waiter = None

    def close(self) -> None:
        """Says goodbye and closes."""
        self._ended = True
        if self._transport is not None and not self._transport.is_closing():
            try:
                self._transport.write(goodbye())
                self._transport.close()
            except RuntimeError:  # its event loop is closed, and cannot close the socket
                if self.socket is not None:
                    self.socket.close()

    # --- what the event loop calls ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert self._handshake is not None
        self._transport = cast(asyncio.Transport, transport)  # TCP's and TLS's are
        self._transport.write(self._handshake.request)

    def data_received(self, data: bytes) -> None:
        if self._handshake is not None:
            self._shake_hands(data)
        elif reply := self._incoming.small(data):
            self._answer(reply)
        else:
            self._feed(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self._handshake is not None:
            self._shake_hands(b"")
        self._fail(ConnectionLost(f"{self.address} ended the connection" + (f": {error}" if error else "")))

    # --- inside ----------------------------------------------------------------------------------------------------

    def _shake_hands(self, data: bytes) -> None:
        handshake = self._handshake
        if handshake is None or self.opened.done() or not handshake.feed(data):
            return
        self._handshake = None
        try:
            early = handshake.check()
        except Exception as error:
            self.opened.set_exception(error)
            return
        self.opened.set_result(None)
        self._feed(early)

    def _feed(self, data: bytes) -> None:
        try:
            reply, pongs = self._incoming.feed(data)
        except wire.ProtocolError as error:
            self._fail(ConnectionLost(f"the connection to {self.address} was lost: {error}"))
            self.close()
            return
        if pongs and self._transport is not None:
            self._transport.write(pongs)
        if reply is not None:
            self._answer(reply)
        if self._incoming.ended:
            self._fail(ConnectionLost(f"{self.address} ended the connection"))

    def _answer(self, reply: bytes) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(reply)

    def _fail(self, error: ServerError) -> None:
        self._ended = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def _late(self) -> None:
        self._fail(TimedOut(f"{self.address} did not answer within {self.timeout:g} s"))
