"""The pool: how a serving process reaches the hosts. It keeps connections, no state of instances."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gymserve.hosts import folders
from gymserve.hosts.link import Answer, Connection, Late, Lost
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
from gymserve.hosts.pool.supervision import Supervision
from gymserve.protocol import errors
from gymserve.settings import Settings

IDLE_CONNECTIONS = 64  # kept per host


class Pool:
    """Args:
    settings: those of the server; the supervisor is started with them if it is not running.
    """

    def __init__(self, settings: Settings) -> None:
        self.data = Path(settings.DATA).resolve()
        self.settings = dataclasses.replace(settings, DATA=str(self.data))
        self.instances = self.data / "instances"
        self._patience = settings.STEP_SECONDS + settings.REVIVE_SECONDS + 10
        self.supervisor = Supervision(self.settings, self._patience)
        self._idle: dict[str, list[Connection]] = {}

    def call(self, request: InstanceCall[Answer]) -> Answer:
        """Asks the host of an instance; a host that is lost on the way is replaced, and asked again once.

        Raises:
            UnknownInstance: no instance has this token.
            EnvironmentFailed, StepTimeout: the environment ended its host, or took too long.
            Unavailable: there is no answer.
        """
        makes = isinstance(request, CreateInstance)
        return self._exchange(
            _slot(request.token), request.token, lambda connection: connection.call(request), makes=makes
        )

    def spaces(self, env_id: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        """What `Catalogue.spaces` tells, in a host: an environment that hangs or crashes takes no serving process with it.

        Raises:
            UnknownEnvironment, InvalidRequest: it cannot be made like this.
            EnvironmentFailed, StepTimeout: it failed, ended its host, or took too long.
            Unavailable: there is no answer.
        """
        request = DescribeSpaces(env_id, kwargs)
        return self._exchange(folders.CATALOGUE, env_id, lambda connection: connection.call(request), makes=True)

    def attach(self, token: str, descriptor: int, *, compression: str, handshake: bytes, early: bytes) -> None:
        """Hands an agent's socket to the host of `token`, which sends the `handshake` and goes on from there.

        Raises:
            UnknownInstance, InvalidRequest: nothing was handed over.
            LimitReached: there are too many streams.
        """
        slot = _slot(token)
        self.supervisor.ask(AdmitStream(slot, folders.owner_of(token)))
        request = AttachStream(token, compression, handshake, early)

        def hand_over(connection: Connection) -> None:
            connection.call(request)
            connection.pass_on(descriptor)
            connection.answer(request)

        self._exchange(slot, token, hand_over, makes=False)

    def _exchange(self, slot: str, subject: str, talk: Callable[[Connection], Answer], *, makes: bool) -> Answer:
        """What `talk` gives on a connection to a slot's host; again on another one, where the host was lost on the way.

        Args:
            subject: the instance, or the environment whose spaces are to be told.
            makes: whether the instance is not there yet.
        """
        for last in (False, True):
            connection = self._take(slot, subject, new=makes)
            try:
                answer = talk(connection)
            except Lost:
                connection.close()
                self._explain(slot, subject, last, makes=makes)
                continue
            except Late:
                raise self._silent(slot, connection) from None
            except errors.GymserveError:
                self._give_back(slot, connection)
                raise
            self._give_back(slot, connection)
            return answer
        raise errors.Unavailable(f"host {slot} was lost twice: try again")

    def _silent(self, slot: str, connection: Connection) -> errors.Unavailable:
        connection.close()  # what the host has not begun by now it does not carry out
        return errors.Unavailable(
            f"host {slot} does not answer: try again with the same seq; without one, see first whether GET /v1/envs/<id>/ "
            "counts this call in its steps and episode"
        )

    def _take(self, slot: str, token: str, *, new: bool = False) -> Connection:
        """A connection to the slot's host, which is started where needed; but never for a token that nobody has."""
        idle = self._idle.get(slot)
        while idle:
            with contextlib.suppress(IndexError):  # another thread took the last one
                connection = idle.pop()
                if not connection.ended():
                    return connection
                connection.close()
        if not new and not (self.instances / token).exists():
            raise errors.UnknownInstance(f"Instance_id {token} unknown")
        self._prune()
        with contextlib.suppress(OSError):
            if runtime := self.supervisor.runtime:
                return Connection(f"{runtime}/{slot}", timeout=self._patience)
        for path in self._ensured(slot):
            with contextlib.suppress(OSError):
                return Connection(path, timeout=self._patience)
        raise errors.Unavailable(f"host {slot} cannot be started: try again later")

    def _ensured(self, slot: str) -> Iterator[str]:
        """Where the slot's host listens, once the supervisor has it running."""
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            address = self.supervisor.ask(EnsureHost(slot))
            if address.path:
                yield address.path
            time.sleep(min(1.0, address.wait + 0.001))

    def _prune(self) -> None:
        """Closes the connections to hosts that have ended since."""
        for slot, idle in list(self._idle.items()):
            with contextlib.suppress(IndexError):  # another thread took the last one
                if idle[-1].ended():
                    for connection in self._idle.pop(slot, []):
                        connection.close()

    def _give_back(self, slot: str, connection: Connection) -> None:
        idle = self._idle.setdefault(slot, [])
        if len(idle) < IDLE_CONNECTIONS:
            idle.append(connection)
        else:
            connection.close()

    def _explain(self, slot: str, subject: str, last: bool, *, makes: bool) -> None:
        """Raises what the loss of a host means for this call; returns if the call is to be made again."""
        for connection in self._idle.pop(slot, []):
            connection.close()
        loss = self.supervisor.ask(ExplainLoss(slot, subject))
        if not loss.culprit or (not last and not loss.ended_by_us):
            return
        if makes:
            name = f"{subject} cannot" if slot == folders.CATALOGUE else "the environment cannot"
            told = f"{name} be made: {loss.reason}"
            self.supervisor.ask(ReleaseInstance(subject))
        else:
            told = f"{loss.reason}; the instance is as it was before this call"
        raise (errors.StepTimeout if "STEP_SECONDS" in loss.reason else errors.EnvironmentFailed)(told)


def _slot(token: str) -> str:
    slot = folders.slot_of(token)
    if slot is None:
        raise errors.UnknownInstance(f"Instance_id {token:.100} unknown")
    return slot
