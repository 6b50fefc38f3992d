"""The stream: a WebSocket between an agent and the host of its instance, with no process in between."""

import socket
from typing import Any

from gymserve.hosts import calls
from gymserve.hosts.channel import Channel
from gymserve.hosts.instance import answers
from gymserve.protocol import errors, params, wire
from gymserve.protocol.compression import Compression

LARGE = 1 << 14  # bytes; a longer answer is sent without copying it behind its frame's head


class StreamChannel(Channel):
    """One agent's WebSocket, handed over after its handshake was authorised.

    Args:
        host: the `Host` of this process, which finds and revives instances.
        compression: "zstd", "lz4" or "" for none.
        limit: the maximum size of a message in bytes.
    """

    busy_polls = 40  # about 50 µs

    def __init__(self, host: Any, sock: socket.socket, token: str, *, compression: str, limit: int) -> None:
        super().__init__(host.loop, sock)
        self.host = host
        self.token = token
        self.frames = wire.Frames(limit=limit, expect_mask=True)
        self.compression = Compression(compression, limit) if compression else None
        self.last_received = self.loop.now
        self.leaving = False  # the agent closed its instance: close the stream after the answer
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def open(self, handshake: bytes, early: bytes) -> None:
        """Sends the `101`, and handles the bytes that the agent sent together with its HTTP request."""
        self.send(handshake)
        for message in self.messages(early):
            self.handle(message)

    def messages(self, data: bytes) -> list[tuple[int, bytes]]:
        self.last_received = self.loop.now
        try:
            return self.frames.feed(data)
        except wire.ProtocolError as error:
            self.close_with(error.code, str(error))
            return []

    def handle(self, message: tuple[int, bytes]) -> None:
        opcode, payload = message
        if self.ending:
            return
        if opcode == wire.BINARY:
            answer = self._answer_binary(payload)
            if len(answer) < LARGE:
                self.send(wire.frame(wire.BINARY, answer))
            else:
                self.send(wire.head(wire.BINARY, len(answer)), answer)
        elif opcode == wire.TEXT:
            self.send(wire.frame(wire.TEXT, wire.write_json(self._answer_text(payload))))
        elif opcode == wire.PING:
            self.send(wire.frame(wire.PONG, payload))
        elif opcode == wire.CLOSING:
            self.send(wire.frame(wire.CLOSING, payload[:2]))
            self.end()
        if self.leaving:
            self.close_with(1000, "the instance was closed")

    def close(self) -> None:
        super().close()
        self.host.stream_closed(self)

    def tick(self, silence: float) -> None:
        """Pings a peer that was silent for `silence` seconds; closes the stream after three times as long."""
        silent = self.loop.now - self.last_received
        if silent > 3 * silence:
            self.close()
        elif silent > silence:
            self.send(wire.frame(wire.PING, b""))

    def close_with(self, code: int, reason: str) -> None:
        """Sends a close frame with the reason, and closes the stream."""
        self.send(wire.frame(wire.CLOSING, wire.closing(code, reason)))
        self.end()

    def _answer_binary(self, payload: bytes) -> bytes:
        """Answers a binary message; this is the hot path."""
        message: bytes | bytearray = payload
        seq = None
        compression = self.compression
        try:
            message = payload if compression is None else compression.unwrap(payload)
            call = calls.decode(message)
            seq = call.seq
            if type(call) is calls.BinaryStep:
                host, action = self.host, call.action
                instance = host.instances.get(self.token) or host.load(self.token)
                answer = answers.binary(host.step(instance, instance.recorded.actions.unpack(action), action, seq), seq)
            else:
                answer = self._carry_out_binary(call, seq)
        except errors.GymserveError as error:
            seq = calls.seq_of(message) if seq is None else seq
            wait = (error.retry_after,) if isinstance(error, errors.TooFast) else ()
            answer = wire.pack((wire.ERROR, seq, wire.status(error), type(error).__name__, str(error), *wait))
        return answer if compression is None else compression.wrap(answer)

    def _carry_out_binary(self, call: calls.BinaryCall, seq: int | None) -> bytes:
        """Carries out a binary call other than a step, and returns its answer."""
        host = self.host
        instance = host.instances.get(self.token) or host.load(self.token)
        if isinstance(call, calls.BinaryReset):
            return answers.binary(host.reset(instance, call.seed, call.options, seq), seq)
        if isinstance(call, calls.BinaryRender):
            return wire.pack((wire.RENDER, seq, wire.typed(host.render(instance))))
        if isinstance(call, calls.BinaryAsk):
            return wire.pack((wire.ASK, seq, wire.typed(host.ask(instance, call.name, call.arguments))))
        self.leaving = True
        host.close(instance, "closed by its agent")
        return wire.pack((wire.CLOSE, seq))

    def _answer_text(self, payload: bytes) -> dict[str, object]:
        """Answers a text message."""
        seq = None
        try:
            message = wire.read_json(payload)
            operation = message.get("op") if isinstance(message, dict) else None
            if not isinstance(operation, str) or operation not in calls.TEXT_CALLS:
                raise errors.InvalidRequest(f'a text message is an object with "op", one of {list(calls.TEXT_CALLS)}')
            seq = params.parse(message, calls.NoParams).seq
            call = params.parse(message, calls.TEXT_CALLS[operation])
            return {"op": operation, "seq": seq, **self._carry_out_text(operation, call)}
        except errors.GymserveError as error:
            name, status = type(error).__name__, wire.status(error)
            answer = {"op": "error", "seq": seq, "status": status, "name": name, "message": str(error)}
            return answer | ({"retry_after": error.retry_after} if isinstance(error, errors.TooFast) else {})

    def _carry_out_text(self, operation: str, call: calls.TextCall) -> dict[str, object]:
        host = self.host
        instance = host.instances.get(self.token) or host.load(self.token)
        if isinstance(call, calls.StepCall):
            return answers.plain(host.step_json(instance, call.action, call.seq), instance)
        if isinstance(call, calls.ResetCall):
            return answers.plain(host.reset(instance, call.seed, call.options, call.seq), instance)
        if operation == "render":
            raise errors.InvalidRequest("pictures need a binary message, or GET …/render")
        self.leaving = True
        host.close(instance, "closed by its agent")
        return {}
