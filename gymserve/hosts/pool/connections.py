"""The pool of a serving process' connections to hosts. It keeps no state of instances."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from gymserve.hosts import folders
from gymserve.hosts.link import Answer, Link, LinkClosed, LinkTimeout
from gymserve.hosts.messages import (
    AdmitStream,
    AttachStream,
    CreateInstance,
    DescribeSpaces,
    EnsureHost,
    ExplainLoss,
    InstanceCall,
    ReleaseInstance,
)
from gymserve.hosts.pool.supervisor_connection import SupervisorConnection
from gymserve.protocol import errors
from gymserve.settings import Settings
from gymserve.system.launcher import Launcher

IDLE_CONNECTIONS = 64  # kept per host


class Pool:
    """Sends requests to hosts, and starts the supervisor and hosts if necessary.

    Args:
        launcher: starts the supervisor.
        patience: time limit for an answer, in seconds.
    """

    def __init__(self, launcher: Launcher, patience: float) -> None:
        self.data = launcher.data
        self.instances = self.data / "instances"
        self._patience = patience
        self.supervisor = SupervisorConnection(launcher, patience)
        self._idle: dict[str, list[Link]] = {}

    @classmethod
    def of(cls, settings: Settings) -> "Pool":
        """The pool of a server with these settings."""
        return cls(Launcher.of(settings), settings.STEP_SECONDS + settings.REVIVE_SECONDS + 10)

    def call(self, request: InstanceCall[Answer], *, is_lost: bool = False) -> Answer:
        """Sends a request to the host of an instance; repeats it once, in a new host, if the host ends before it answers.

        Args:
            is_lost: whether the host has just ended in the middle of this request, so that this is the repetition.

        Raises:
            UnknownInstance: no instance has this token.
            EnvironmentFailed, StepTimeout: the environment ended its host, or took too long.
            Unavailable: no answer came.
        """
        creates = isinstance(request, CreateInstance)
        return self._exchange(
            _slot(request.token),
            request.token,
            lambda connection: connection.call(request),
            creates=creates,
            is_lost=is_lost,
        )

    def address(self, token: str) -> str:
        """The path of the socket of an instance's host."""
        return f"{self.supervisor.runtime}/{_slot(token)}"

    def spaces(self, env_id: str, kwargs: dict[str, object]) -> dict[str, Any]:
        """Calls `Catalogue.spaces` in a host, so that an environment that hangs or crashes ends no serving process.

        Raises:
            UnknownEnvironment, InvalidRequest: the environment cannot be made with these arguments.
            EnvironmentFailed, StepTimeout: the environment failed, ended its host, or took too long.
            Unavailable: no answer came.
        """
        request = DescribeSpaces(env_id, kwargs)
        return self._exchange(folders.CATALOGUE, env_id, lambda connection: connection.call(request), creates=True)

    def attach(self, token: str, descriptor: int, *, compression: str, handshake: bytes, early: bytes) -> None:
        """Hands an agent's socket to the host of `token`, which sends the `handshake` and serves the stream.

        Raises:
            UnknownInstance, InvalidRequest: the host refused the stream.
            LimitReached: there are too many streams.
        """
        slot = _slot(token)
        self.supervisor.ask(AdmitStream(slot, folders.owner_of(token)))
        request = AttachStream(token, compression, handshake, early)

        def hand_over(connection: Link) -> None:
            connection.call(request)
            connection.pass_on(descriptor)
            connection.answer(request)

        self._exchange(slot, token, hand_over, creates=False)

    def _exchange(
        self, slot: str, subject: str, talk: Callable[[Link], Answer], *, creates: bool, is_lost: bool = False
    ) -> Answer:
        """Calls `talk` with a connection to a slot's host; repeats it once if the host ends before it answers.

        Args:
            subject: the instance's token, or the environment whose spaces are requested.
            creates: whether no instance is needed, because the request creates one or asks for spaces.
            is_lost: whether the host has ended once already.
        """
        if is_lost:
            self._explain(slot, subject, last=False, creates=creates)
        for last in (True,) if is_lost else (False, True):
            connection = self._acquire(slot, subject, creates=creates)
            try:
                answer = talk(connection)
            except LinkClosed:
                connection.close()
                self._explain(slot, subject, last, creates=creates)
                continue
            except LinkTimeout:
                raise self._timed_out(slot, connection) from None
            except errors.GymserveError:
                self._release(slot, connection)
                raise
            self._release(slot, connection)
            return answer
        raise errors.Unavailable(f"host {slot} was lost twice: try again")

    def _timed_out(self, slot: str, connection: Link) -> errors.Unavailable:
        connection.close()  # the host does not carry out calls of closed connections that it has not begun
        return errors.Unavailable(
            f"host {slot} does not answer: try again with the same seq; without one, see first whether GET /v1/envs/<id>/ "
            "counts this call in its steps and episode"
        )

    def _acquire(self, slot: str, token: str, *, creates: bool) -> Link:
        """Returns a connection to the slot's host, and starts the host if necessary.

        Raises:
            UnknownInstance: no instance has this token, and the request does not create it.
            Unavailable: the host does not start.
        """
        idle = self._idle.get(slot)
        while idle:
            with contextlib.suppress(IndexError):  # another thread took the last one
                connection = idle.pop()
                if not connection.ended():
                    return connection
                connection.close()
        if not creates and not (self.instances / token).exists():
            raise errors.UnknownInstance(f"Instance_id {token} unknown")
        self._prune()
        with contextlib.suppress(OSError):
            if runtime := self.supervisor.runtime:
                return Link(f"{runtime}/{slot}", timeout=self._patience)
        for path in self._start_host(slot):
            with contextlib.suppress(OSError):
                return Link(path, timeout=self._patience)
        raise errors.Unavailable(f"host {slot} cannot be started: try again later")

    def _start_host(self, slot: str) -> Iterator[str]:
        """Has the supervisor start the slot's host, and yields the path of its socket; again if connecting fails."""
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            address = self.supervisor.ask(EnsureHost(slot))
            if address.path:
                yield address.path
            time.sleep(min(1.0, address.wait + 0.001))

    def _prune(self) -> None:
        """Closes idle connections to hosts that have ended."""
        for slot, idle in list(self._idle.items()):
            with contextlib.suppress(IndexError):  # another thread took the last one
                if idle[-1].ended():
                    for connection in self._idle.pop(slot, []):
                        connection.close()

    def _release(self, slot: str, connection: Link) -> None:
        idle = self._idle.setdefault(slot, [])
        if len(idle) < IDLE_CONNECTIONS:
            idle.append(connection)
        else:
            connection.close()

    def _explain(self, slot: str, subject: str, last: bool, *, creates: bool) -> None:
        """Raises the error that explains the loss of a host; returns if the call should be repeated."""
        for connection in self._idle.pop(slot, []):
            connection.close()
        loss = self.supervisor.ask(ExplainLoss(slot, subject))
        if not loss.culprit or (not last and not loss.ended_by_us):
            return
        if creates:
            name = f"{subject} cannot" if slot == folders.CATALOGUE else "the environment cannot"
            text = f"{name} be made: {loss.reason}"
            self.supervisor.ask(ReleaseInstance(subject))
        else:
            text = f"{loss.reason}; the instance is as it was before this call"
        raise (errors.StepTimeout if "STEP_SECONDS" in loss.reason else errors.EnvironmentFailed)(text)


def _slot(token: str) -> str:
    slot = folders.slot_of(token)
    if slot is None:
        raise errors.UnknownInstance(f"Instance_id {token:.100} unknown")
    return slot
