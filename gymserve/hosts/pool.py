"""The pool: how a serving process reaches the hosts. It keeps connections, no state of instances."""

import contextlib
import dataclasses
import fcntl
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gymserve import errors
from gymserve.hosts import folders
from gymserve.hosts.link import Connection, Late, Lost
from gymserve.settings import Settings

IDLE_CONNECTIONS = 64  # kept per host
START_SECONDS = 60.0


class Pool:
    """Args:
    settings: those of the server; the supervisor is started with them if it is not running.
    """

    def __init__(self, settings: Settings) -> None:
        self.data = Path(settings.DATA).resolve()
        self.settings = dataclasses.replace(settings, DATA=str(self.data))
        self.instances = self.data / "instances"
        self.runtime = ""
        self._patience = settings.STEP_SECONDS + settings.REVIVE_SECONDS + 10
        self._idle: dict[str, list[Connection]] = {}
        self._supervisor: Connection | None = None
        self._asking = threading.Lock()

    # --- the supervisor -------------------------------------------------------------------------------------------

    def ask(self, name: str, *args: Any) -> Any:
        """Asks the supervisor, which is started or found again where needed.

        Raises:
            Unavailable: it does not answer.
        """
        with self._asking:
            for _ in range(2):
                try:
                    if self._supervisor is None:
                        self._supervisor = self._connect()
                    return self._supervisor.call(name, *args)
                except (Lost, Late, OSError):
                    self.forget_supervisor()
        raise errors.Unavailable("the server's supervisor does not answer: try again")

    def start(self) -> None:
        """Starts the supervisor for a server that is to have the data directory for itself.

        Raises:
            SettingsError: another server uses the directory, or the supervisor cannot start.
        """
        self._supervisor = self._connect()
        if self.ask("status")["clients"] > 1:
            raise errors.SettingsError(
                f"another server uses the data directory {self.data}: choose another with --data"
            )

    def stop(self) -> None:
        """Drains the hosts, and returns when they and the supervisor are gone."""
        with contextlib.suppress(Lost, Late, OSError, errors.GymserveError):
            if self._supervisor is not None:
                self._supervisor.call("stop")
                self._supervisor.call("wait")  # answered by the end of the connection
        self.forget_supervisor()

    def forget_supervisor(self) -> None:
        """Lets go of the connection, which keeps the supervisor alive."""
        if self._supervisor is not None:
            self._supervisor.close()
            self._supervisor = None

    def _connect(self) -> Connection:
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(self.data / "starting", "w") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)  # one process starts it, the others find it
            with contextlib.suppress(OSError):
                self.runtime = (self.data / "supervisor").read_text()
                return Connection(f"{self.runtime}/supervisor", timeout=self._patience)
            self.runtime = start_supervisor(self.settings)
            return Connection(f"{self.runtime}/supervisor", timeout=self._patience)

    # --- hosts ----------------------------------------------------------------------------------------------------

    def place(
        self, *, kind: str, key: str | None = None, body: str = "", account: int = 0, alone: bool = False
    ) -> tuple[str, bool]:
        """(token, whether it is new) for a new instance, see `Supervisor.place`."""
        answer = self.ask("place", kind, key, body, account, alone)
        return answer["token"], answer["new"]

    def call(self, operation: str, token: str, *args: Any) -> Any:
        """Asks the host of `token`; a host that is lost on the way is replaced, and asked again once.

        Raises:
            UnknownInstance: no instance has this token.
            EnvironmentFailed, StepTimeout: the environment ended its host, or took too long.
            Unavailable: there is no answer.
        """
        return self._call(_slot(token), operation, token, *args, new=operation == "create")

    def spaces(self, env_id: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        """What `Catalogue.spaces` tells, in a host: an environment that hangs or crashes takes no serving process with it.

        Raises:
            UnknownEnvironment, InvalidRequest: it cannot be made like this.
            EnvironmentFailed, StepTimeout: it failed, ended its host, or took too long.
            Unavailable: there is no answer.
        """
        told: dict[str, Any] = self._call(folders.CATALOGUE, "spaces", env_id, kwargs, new=True)
        return told

    def _call(self, slot: str, operation: str, subject: str, *args: Any, new: bool) -> Any:
        for last in (False, True):
            connection = self._take(slot, subject, new=new)
            try:
                answer = connection.call(operation, subject, *args)
            except Lost:
                connection.close()
                self._explain(slot, subject, last)
                continue
            except Late:
                connection.close()
                raise errors.Unavailable(f"host {slot} does not answer: try again") from None
            except errors.GymserveError:
                self._give_back(slot, connection)
                raise
            self._give_back(slot, connection)
            return answer
        raise errors.Unavailable(f"host {slot} was lost twice: try again")

    def move(self, operation: str, token: str, *args: Any, seq: int | None) -> Any:
        """Resets or steps, exactly once also where the host is lost in between."""
        call = seq if seq is not None else ~random.getrandbits(32)
        return self.call(operation, token, *args, call)

    def attach(self, token: str, descriptor: int, *, compression: str, handshake: bytes, early: bytes) -> None:
        """Hands an agent's socket to the host of `token`, which sends the `handshake` and goes on from there.

        Raises:
            UnknownInstance, InvalidRequest: nothing was handed over.
            LimitReached: there are too many streams.
        """
        slot = _slot(token)
        self.ask("admit_stream", slot, folders.owner_of(token))
        for last in (False, True):
            connection = self._take(slot, token)
            try:
                connection.call("attach", token, compression, handshake, early)
                connection.pass_on(descriptor)
                connection.answer()
            except Lost:
                connection.close()
                self._explain(slot, token, last)
                continue
            except errors.GymserveError:
                self._give_back(slot, connection)
                raise
            self._give_back(slot, connection)
            return
        raise errors.Unavailable(f"host {slot} was lost twice: try again")

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
            if self.runtime:
                return Connection(f"{self.runtime}/{slot}", timeout=self._patience)
        for path in self._ensured(slot):
            with contextlib.suppress(OSError):
                return Connection(path, timeout=self._patience)
        raise errors.Unavailable(f"host {slot} cannot be started: try again later")

    def _ensured(self, slot: str) -> Iterator[str]:
        """Where the slot's host listens, once the supervisor has it running."""
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            answer = self.ask("ensure", slot)
            if answer["path"]:
                yield answer["path"]
            time.sleep(min(1.0, answer["wait"] + 0.001))

    def _prune(self) -> None:
        """Closes the connections to hosts that have ended since."""
        for slot, idle in list(self._idle.items()):
            if idle and idle[-1].ended():
                for connection in self._idle.pop(slot, []):
                    connection.close()

    def _give_back(self, slot: str, connection: Connection) -> None:
        idle = self._idle.setdefault(slot, [])
        if len(idle) < IDLE_CONNECTIONS:
            idle.append(connection)
        else:
            connection.close()

    def _explain(self, slot: str, subject: str, last: bool) -> None:
        """Raises what the loss of a host means for this call; returns if the call is to be made again."""
        for connection in self._idle.pop(slot, []):
            connection.close()
        death = self.ask("death", slot, subject)
        if not death["culprit"]:
            return
        reason = death["reason"]
        if slot == folders.CATALOGUE:
            told = f"{subject} cannot be made: {reason}"
        else:
            told = f"{reason}; the instance is as it was before this call"
        if death["ended_by_us"]:
            raise (errors.StepTimeout if "STEP_SECONDS" in reason else errors.EnvironmentFailed)(told)
        if last:
            raise errors.EnvironmentFailed(told)


def _slot(token: str) -> str:
    slot = folders.slot_of(token)
    if slot is None:
        raise errors.UnknownInstance(f"Instance_id {token:.100} unknown")
    return slot


def start_supervisor(settings: Settings) -> str:
    """Starts the supervisor's process; returns its runtime directory.

    Raises:
        SettingsError: it cannot start, for the reason that it gave.
    """
    # Environments are strangers' code: what they can read of the environment variables holds no secret of ours.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GYMSERVE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "gymserve.hosts"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C at the terminal is the front door's to handle
        text=True,
        cwd=settings.DATA,  # simulators write their logs where they stand
        env={**environment, "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path)},
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(settings.to_json())
    process.stdin.close()
    word, _, rest = process.stdout.readline().strip().partition(" ")
    process.stdout.close()
    if word != "ready":
        process.wait()
        raise errors.SettingsError(rest or "the supervisor ended before it was ready")
    threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie
    return rest


def request_body(order: dict[str, Any]) -> str:
    """What makes two creations the same request."""
    return json.dumps(order, sort_keys=True)
