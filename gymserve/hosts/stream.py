"""The stream: a WebSocket on which an agent steps one instance, with no process in between."""

import socket
from typing import Any

from gymserve import errors, wire
from gymserve.compression import Compression
from gymserve.hosts import answers
from gymserve.hosts.channel import Channel

LARGE = 1 << 14  # bytes; a longer answer is not copied to put its frame's head before it


class Stream(Channel):
    """One agent's WebSocket, handed over after its handshake was authorised.

    Args:
        host: the event loop that this process runs, which finds and revives instances.
        compression: "zstd", "lz4" or "".
        limit: the most bytes of a message.
    """

    looks = 40  # about 50 µs

    def __init__(self, host: Any, sock: socket.socket, token: str, *, compression: str, limit: int) -> None:
        super().__init__(host, sock)
        self.host = host
        self.token = token
        self.frames = wire.Frames(limit=limit, expect_mask=True)
        self.compression = Compression(compression, limit) if compression else None
        self.heard = host.now
        self.leaving = False  # the agent closed its instance: say good-bye after the answer
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def open(self, handshake: bytes, early: bytes) -> None:
        """Sends the `101`, and takes what the agent sent with its request already."""
        self.send(handshake)
        for message in self.messages(early):
            self.handle(message)

    def messages(self, data: bytes) -> list[tuple[int, bytes]]:
        self.heard = self.host.now
        try:
            return self.frames.feed(data)
        except wire.ProtocolError as error:
            self.bye(error.code, str(error))
            return []

    def handle(self, message: tuple[int, bytes]) -> None:
        opcode, payload = message
        if self.ending:
            return
        if opcode == wire.BINARY:
            answer = self._binary(payload)
            if len(answer) < LARGE:
                self.send(wire.frame(wire.BINARY, answer))
            else:
                self.send(wire.head(wire.BINARY, len(answer)), answer)
        elif opcode == wire.TEXT:
            self.send(wire.frame(wire.TEXT, wire.write_json(self._text(payload))))
        elif opcode == wire.PING:
            self.send(wire.frame(wire.PONG, payload))
        elif opcode == wire.CLOSING:
            self.send(wire.frame(wire.CLOSING, payload[:2]))
            self.end()
        if self.leaving:
            self.bye(1000, "the instance was closed")

    def close(self) -> None:
        super().close()
        self.host.left(self)

    def tick(self, silence: float) -> None:
        """Pings a peer that is silent for `silence` seconds; lets go of one that does not answer either."""
        silent = self.host.now - self.heard
        if silent > 3 * silence:
            self.close()
        elif silent > silence:
            self.send(wire.frame(wire.PING, b""))

    def bye(self, code: int, reason: str) -> None:
        """Says why, and closes."""
        self.send(wire.frame(wire.CLOSING, wire.closing(code, reason)))
        self.end()

    def _binary(self, payload: bytes) -> bytes:
        """The answer to a binary message; the hot path."""
        seq = None
        compression = self.compression
        try:
            message = wire.unpack(payload if compression is None else compression.unwrap(payload))
            kind, asked = message[0], message[1]
            seq = asked if asked is None else answers.checked_seq(asked)
            host = self.host
            instance = host.instances.get(self.token) or host.load(self.token)
            if kind == wire.STEP:
                action = message[2]
                move = host.step(instance, instance.actions.unpack(action), action, seq)
                answer = answers.binary(move, seq)
            elif kind == wire.RESET:
                answer = answers.binary(host.reset(instance, message[2], message[3], seq), seq)
            elif kind == wire.RENDER:
                answer = wire.pack((wire.RENDER, seq, host.render(instance)))
            elif kind == wire.CLOSE:
                self.leaving = True
                host.close(instance, "closed by its agent")
                answer = wire.pack((wire.CLOSE, seq))
            else:
                raise errors.InvalidRequest(f"unknown kind of message {kind!r:.50}")
        except errors.GymserveError as error:
            wait = (error.retry_after,) if isinstance(error, errors.TooFast) else ()
            answer = wire.pack((wire.ERROR, seq, wire.status(error), type(error).__name__, str(error), *wait))
        except (TypeError, IndexError, KeyError):
            text = "a binary message is a msgpack array: its kind, seq, and what the kind needs"
            answer = wire.pack((wire.ERROR, seq, 400, "InvalidRequest", text))
        return answer if compression is None else compression.wrap(answer)

    def _text(self, payload: bytes) -> dict[str, Any]:
        """The answer to a text message."""
        seq = None
        try:
            message = wire.read_json(payload)
            if not isinstance(message, dict) or message.get("op") not in list(wire.OPERATIONS):
                raise errors.InvalidRequest(f'a text message is an object with "op", one of {list(wire.OPERATIONS)}')
            seq = answers.checked_seq(message.get("seq"))
            return {"op": message["op"], "seq": seq, **self._carried_out(message, seq)}
        except errors.GymserveError as error:
            name, status = type(error).__name__, wire.status(error)
            told = {"op": "error", "seq": seq, "status": status, "name": name, "message": str(error)}
            return told | ({"retry_after": error.retry_after} if isinstance(error, errors.TooFast) else {})

    def _carried_out(self, message: dict[str, Any], seq: int | None) -> dict[str, Any]:
        host = self.host
        instance = host.instances.get(self.token) or host.load(self.token)
        operation = message["op"]
        if operation == "step":
            if message.get("action") is None:
                raise errors.InvalidRequest("A required request parameter 'action' was not provided")
            return answers.plain(host.step_json(instance, message["action"], seq), instance)
        if operation == "reset":
            return answers.plain(host.reset(instance, message.get("seed"), message.get("options"), seq), instance)
        if operation == "render":
            raise errors.InvalidRequest("a picture comes in a binary message, or from GET …/render")
        self.leaving = True
        host.close(instance, "closed by its agent")
        return {}
