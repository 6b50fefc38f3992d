"""The requests of gunicorn workers to a host, over links."""

import select
import socket
from functools import partial
from typing import Any

from gymserve.environments.foreign import error_text
from gymserve.hosts.channel import CHUNK, Channel
from gymserve.hosts.host.http import LentConnection
from gymserve.hosts.host.stream import StreamChannel
from gymserve.hosts.instance import answers
from gymserve.hosts.instance.live import LiveInstance
from gymserve.hosts.lent.borrower import Borrower
from gymserve.hosts.link import Failure, Messages, Reply, encode, ended
from gymserve.hosts.messages import (
    AttachStream,
    BorrowConnections,
    CheckAction,
    CloseInstance,
    CreateInstance,
    DescribeInstance,
    DescribeSpaces,
    HostRequest,
    MonitorInstance,
    NoteClosed,
    RenderInstance,
    ResetInstance,
    SampleAction,
    StepInstance,
    host_request,
)
from gymserve.hosts.pulse import number, watched
from gymserve.protocol import errors, wire
from gymserve.protocol.compression import Compression
from gymserve.protocol.recipe import Recipe


class Workers(Channel):
    """One worker's connection; its requests are answered in order.

    A call is not carried out if the worker gives it up before it begins, because the worker tells the agent to repeat it.
    """

    def __init__(self, host: Any, sock: socket.socket) -> None:
        super().__init__(host.loop, sock)
        self.host = host
        self._messages = Messages(host_request)
        self._attaching: AttachStream | None = None
        self._is_new = True  # whether nothing was received yet

    def messages(self, data: bytes) -> list[HostRequest]:
        return self._messages.feed(data)

    def ready(self, events: int) -> None:
        if self._attaching is not None:
            self._receive_stream(self._attaching)
        elif events & select.EPOLLHUP:
            self.close()
        elif self._is_new:
            self._receive_first()
        else:
            super().ready(events)

    def _receive_first(self) -> None:
        """Receives the first message, with which a link may become one over which connections are lent."""
        self._is_new = False
        try:
            data, descriptors, _, _ = socket.recv_fds(self.socket, CHUNK, 1, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            data, descriptors = b"", []
        for message in self.messages(data):
            if isinstance(message, BorrowConnections) and descriptors:
                self.detach()
                open_connection = partial(LentConnection, self.host)
                self.host.borrowers.add(Borrower(self.loop, self.socket, descriptors[0], open_connection))
            else:
                self.handle(message)
        if not data:
            self.close()

    def handle(self, message: HostRequest) -> None:
        failure, answer = None, None
        try:
            answer = self._answer(message)
        except errors.GymserveError as error:
            failure = Failure.of(error)
        except BaseException as error:  # the edge of the process: environments may return or raise anything
            self.host.log.exception("%s failed", message.verb)
            failure = Failure("EnvironmentFailed", [f"{message.verb} failed: {error_text(error)}"])
        self.send(encode(Reply(failure, answer)))

    def _answer(self, request: HostRequest) -> Any:
        host = self.host
        match request:
            case StepInstance():
                instance = self._load(request.token)
                act = host.step_packed if request.is_packed else host.step_json
                time_step = act(instance, request.action, request.call, request.at)
                return answers.body(time_step, instance, msgpack=request.msgpack)
            case ResetInstance():
                instance = self._load(request.token)
                time_step = host.reset(instance, request.seed, request.options, request.call)
                return answers.body(time_step, instance, msgpack=request.msgpack)
            case CreateInstance():
                return self._create(request)
            case DescribeInstance():
                return self._describe(request)
            case RenderInstance():
                return answers.rendered(host.render(host.load(request.token)))
            case CloseInstance():
                return host.close(host.load(request.token), "closed by its agent")
            case SampleAction():
                recorded = host.load(request.token).recorded
                return recorded.actions.to_json(recorded.env.action_space.sample())
            case CheckAction():
                return self._is_action(request)
            case MonitorInstance():
                return host.load(request.token).monitor(request.options)
            case AttachStream():
                return self._attach(request)
            case DescribeSpaces():
                with watched(host.pulse, number(request.env_id)):
                    return host.catalogue.spaces(request.env_id, request.kwargs)

    def _load(self, token: str) -> LiveInstance:
        """Loads an instance to act on. Its revival may take longer than the worker waits; then the call is dropped."""
        was_loaded = token in self.host.instances
        instance: LiveInstance = self.host.load(token)
        if not was_loaded and ended(self.socket):
            raise errors.Unavailable("the worker has given up this call")
        return instance

    def _create(self, request: CreateInstance) -> str:
        try:
            return str(self.host.create(request.token, Recipe.from_dict(request.recipe)).token)
        except errors.GymserveError:
            self.host.supervisor.send(encode(NoteClosed(request.token)))
            raise

    def _describe(self, request: DescribeInstance) -> dict[str, object]:
        instances = self.host.instances
        used = instances[request.token].used if request.token in instances else self.host.loop.now
        instance = self.host.load(request.token)
        instance.used = used  # a description does not count as use
        return answers.description(instance, host=self.host.slot, now=self.host.loop.now, short=request.short)

    def _is_action(self, request: CheckAction) -> bool:
        instance = self.host.load(request.token)
        try:
            instance.recorded.actions.from_json(wire.read_json(request.text))
        except errors.InvalidRequest:
            return False
        return True

    def _attach(self, request: AttachStream) -> None:
        self.host.load(request.token)
        if request.compression:
            Compression(request.compression, 1)
        self._attaching = request

    def _receive_stream(self, request: AttachStream) -> None:
        self._attaching = None
        try:
            data, descriptors, _, _ = socket.recv_fds(self.socket, 1, 1)
        except OSError:
            data, descriptors = b"", []
        if not data or not descriptors:
            self.close()
            return
        stream = StreamChannel(
            self.host,
            socket.socket(fileno=descriptors[0]),
            request.token,
            compression=request.compression,
            limit=self.host.settings.max_frame_bytes,
        )
        self.host.stream_opened(stream)
        self.send(encode(Reply(None, None)))
        stream.open(request.handshake, request.early)


class Listener:
    """Accepts the workers' connections."""

    busy_polls = 0

    def __init__(self, host: Any, sock: socket.socket) -> None:
        self.host, self.loop, self.socket = host, host.loop, sock
        sock.setblocking(False)
        self.loop.channels[sock.fileno()] = self
        self.loop.poll.register(sock.fileno(), select.EPOLLIN)

    def ready(self, events: int) -> None:
        try:
            connection, _ = self.socket.accept()
        except OSError:
            return
        Workers(self.host, connection)

    def close(self) -> None:
        self.loop.channels.pop(self.socket.fileno(), None)
        self.socket.close()
