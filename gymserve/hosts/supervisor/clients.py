"""The supervisor's clients: the serving processes that have connected to it."""

import logging
import selectors
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from gymserve.hosts.link import Failure, Messages, Reply, encode
from gymserve.hosts.messages import SupervisorRequest, supervisor_request
from gymserve.protocol import errors

SEND_SECONDS = 5  # time limit for sending an answer
log = logging.getLogger("gymserve.supervisor")


class Clients:
    """Accepts connections and answers their requests.

    Args:
        path: the path of the socket to listen on.
        selector: the supervisor's selector; a key's data is the function to call when its socket is ready.
        answer: carries out a request.
    """

    def __init__(
        self, path: Path, selector: selectors.BaseSelector, answer: Callable[[SupervisorRequest], Any]
    ) -> None:
        self._answer = answer
        self._selector = selector
        self._connected: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(256)
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def __len__(self) -> int:
        return len(self._connected)

    @property
    def sockets(self) -> list[socket.socket]:
        """The sockets that a host must not inherit."""
        return [self._listener, *self._connected]

    def close(self) -> None:
        """Stops accepting connections."""
        self._listener.close()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError as error:  # no descriptor is free, or the client has disconnected
            log.warning("a connection cannot be accepted: %s", error)
            time.sleep(0.01)  # the connection stays in the listener's queue
            return
        client.settimeout(SEND_SECONDS)
        self._connected.add(client)
        messages = Messages(supervisor_request)
        self._selector.register(client, selectors.EVENT_READ, lambda: self._serve(client, messages))

    def _serve(self, client: socket.socket, messages: Messages) -> None:
        try:
            data = client.recv(65536)
            for request in messages.feed(data):
                client.sendall(encode(self._reply(request)))
        except OSError:
            data = b""
        except msgspec.MsgspecError as error:
            log.warning("a message cannot be read: %s", error)
            data = b""
        if not data:
            self._selector.unregister(client)
            self._connected.discard(client)
            client.close()

    def _reply(self, request: SupervisorRequest) -> Reply[Any]:
        try:
            return Reply(None, self._answer(request))
        except errors.GymserveError as error:
            return Reply(Failure.of(error), None)
        except OSError as error:
            return Reply(Failure("Unavailable", [f"{request.verb}: {error}"]), None)
