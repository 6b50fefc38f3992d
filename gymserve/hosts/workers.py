"""What gunicorn workers ask of a host, over a link."""

import socket
from typing import Any

from gymserve import errors, wire
from gymserve.compression import Compression
from gymserve.hosts import answers
from gymserve.hosts.channel import Channel
from gymserve.hosts.link import Messages, encode, refusal
from gymserve.hosts.pulse import CALLS, INSTANCE, number
from gymserve.hosts.stream import Stream


class Workers(Channel):
    """One worker's connection: calls by name, answered in order."""

    def __init__(self, host: Any, sock: socket.socket) -> None:
        super().__init__(host, sock)
        self.host = host
        self._messages = Messages()
        self._attaching: tuple[Any, ...] | None = None

    def messages(self, data: bytes) -> list[Any]:
        return self._messages.feed(data)

    def ready(self, events: int) -> None:
        if self._attaching is not None:
            self._receive_stream(*self._attaching)
        else:
            super().ready(events)

    def handle(self, message: Any) -> None:
        name, token, *args = message
        answer: tuple[str | None, Any]
        try:
            answer = (None, OPERATIONS[name](self, token, *args))
        except errors.GymserveError as error:
            answer = refusal(error)
        except Exception as error:  # the edge of the process: whatever an environment returned
            self.host.log.exception("%s failed", name)
            answer = ("EnvironmentFailed", [f"{name} failed: {type(error).__name__}: {error}"])
        self.send(encode(answer))

    # --- operations ----------------------------------------------------------------------------------------------

    def _create(self, token: str, order: dict[str, Any]) -> str:
        try:
            return str(self.host.create(token, order).token)
        except errors.GymserveError:
            self.host.supervisor.send(encode(("closed", token)))
            raise

    def _describe(self, token: str) -> dict[str, Any]:
        used = self.host.instances[token].used if token in self.host.instances else self.host.now
        instance = self.host.load(token)
        instance.used = used  # looking is not using
        return answers.description(instance, host=self.host.slot, now=self.host.now)

    def _step(self, token: str, action: Any, call: int | None) -> bytes:
        instance = self.host.load(token)
        return wire.write_json(answers.plain(self.host.step_json(instance, action, call), instance))

    def _reset(self, token: str, seed: Any, options: Any, call: int | None) -> bytes:
        instance = self.host.load(token)
        return wire.write_json(answers.plain(self.host.reset(instance, seed, options, call), instance))

    def _render(self, token: str) -> bytes:
        return bytes(self.host.render(self.host.load(token)))

    def _close(self, token: str) -> dict[str, Any]:
        instance = self.host.load(token)
        meta = {"monitoring": instance.monitoring}
        self.host.close(instance, "closed by its agent")
        return meta

    def _sample(self, token: str) -> Any:
        instance = self.host.load(token)
        return instance.actions.to_json(instance.env.action_space.sample())

    def _contains(self, token: str, text: str) -> bool:
        instance = self.host.load(token)
        try:
            instance.actions.from_json(wire.read_json(text))
        except errors.InvalidRequest:
            return False
        return True

    def _monitor(self, token: str, options: dict[str, Any] | None) -> None:
        self.host.load(token).monitor(options)

    def _spaces(self, env_id: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        pulse = self.host.pulse
        pulse[CALLS] += 1
        pulse[INSTANCE] = number(env_id)
        try:
            told: dict[str, Any] = self.host.catalogue.spaces(env_id, kwargs)
            return told
        finally:
            pulse[INSTANCE] = 0

    # --- streams -------------------------------------------------------------------------------------------------

    def _attach(self, token: str, compression: str, handshake: bytes, early: bytes) -> None:
        """Agrees to take over an agent's socket, which comes next on this connection."""
        self.host.load(token)
        if compression:
            Compression(compression, 1)
        self._attaching = (token, compression, handshake, early)

    def _receive_stream(self, token: str, compression: str, handshake: bytes, early: bytes) -> None:
        self._attaching = None
        try:
            data, descriptors, _, _ = socket.recv_fds(self.socket, 1, 1)
        except OSError:
            data, descriptors = b"", []
        if not data or not descriptors:
            self.close()
            return
        limit = self.host.settings.MAX_FRAME_BYTES
        stream = Stream(self.host, socket.socket(fileno=descriptors[0]), token, compression=compression, limit=limit)
        self.host.joined(stream)
        self.send(encode((None, None)))
        stream.open(handshake, early)


OPERATIONS = {
    name[1:]: getattr(Workers, name)
    for name in (
        "_create",
        "_describe",
        "_step",
        "_reset",
        "_render",
        "_close",
        "_sample",
        "_contains",
        "_monitor",
        "_spaces",
        "_attach",
    )
}
