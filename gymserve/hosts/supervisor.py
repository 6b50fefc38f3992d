"""The supervisor: forks hosts, places instances in them, watches them and tells why one died.

It is a single thread that has imported what environments need, so a forked host is ready within milliseconds.
"""

import contextlib
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gymserve import environments, errors
from gymserve.hosts import folders
from gymserve.hosts.forking import HostProcess, fork
from gymserve.hosts.link import Messages, encode, refusal
from gymserve.hosts.placements import Placements
from gymserve.hosts.prepared import Prepared
from gymserve.hosts.pulse import number
from gymserve.hosts.tally import Tally
from gymserve.settings import Settings

WATCH_SECONDS = 0.1
HOUSEKEEPING_SECONDS = 60.0
LINGER_SECONDS = 5.0  # how long the supervisor outlives the last process that serves
log = logging.getLogger("gymserve.supervisor")


class Death:
    """How a host ended."""

    def __init__(self, reason: str, *, instance: int, ended_by_us: bool) -> None:
        self.reason = reason
        self.instance = instance  # in whose call, see `hosts/pulse.py`
        self.ended_by_us = ended_by_us


class Supervisor:
    """Args:
    runtime: a private directory with a short path, for sockets.
    lock: the descriptor of the data directory's lock, which hosts inherit.
    """

    def __init__(self, settings: Settings, catalogue: environments.Catalogue, runtime: Path, lock: int) -> None:
        self.settings, self.catalogue = settings, catalogue
        self.runtime, self.lock = runtime, lock
        self.data = Path(settings.DATA)
        self.instances = self.data / "instances"
        self.hosts: dict[str, HostProcess] = {}
        self.deaths: dict[str, Death] = {}
        self.tally = Tally(settings)
        self.placements = Placements(self.data / "idempotency")
        self.prepared = Prepared(settings.PREPARED_HOSTS)
        self.restarts: dict[str, list[float]] = {}
        self.placed: dict[str, set[str]] = {}
        for token in folders.tokens(self.instances):
            self._slot(token).add(token)
        self.next_dedicated = 1 + max((int(slot[1:]) for slot in self.placed if slot[0] == "d"), default=0)
        self.started = time.monotonic()
        self.running = True
        self.clients: set[socket.socket] = set()
        self.alone_since = time.monotonic()
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(runtime / "supervisor"))
        self.listener.listen(256)
        self.selector.register(self.listener, selectors.EVENT_READ, self._accept)

    def _slot(self, token: str) -> set[str]:
        return self.placed.setdefault(folders.slot_of(token) or "", set())

    # --- the loop -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serves until told to stop, or until nobody is left to serve."""
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "running", False))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        housekeeping = 0.0
        while self.running:
            for key, _ in self.selector.select(WATCH_SECONDS):
                key.data()
            now = time.monotonic()
            self._watch(now)
            self._prepare(now)
            if now >= housekeeping:
                housekeeping = now + HOUSEKEEPING_SECONDS
                with _told("the data directory cannot be swept"):
                    self._keep_house()
            if self.clients:
                self.alone_since = now
            elif now - self.alone_since > LINGER_SECONDS:
                break
        self._drain()

    def _watch(self, now: float) -> None:
        """Ends hosts that hang or grow, and notices those that died."""
        for host in list(self.hosts.values()):
            if not host.alive():
                self._bury(host)
                continue
            if host.hung(now) > self.settings.STEP_SECONDS:
                host.kill(f"a call took longer than STEP_SECONDS = {self.settings.STEP_SECONDS:g} s")
            elif host.memory_mb(now) > self.settings.HOST_MEMORY_MB:
                host.kill(f"its host used more than HOST_MEMORY_MB = {self.settings.HOST_MEMORY_MB} MB")

    def _prepare(self, now: float) -> None:
        """Lets a host make an environment that may be asked for soon; ends those that wait in vain."""
        for slot in self.prepared.surplus(now):
            self.hosts[slot].dismiss()
        kind = self.prepared.missing(now)
        if kind is not None and self._dedicated() + len(self.prepared) < self.settings.MAX_DEDICATED_HOSTS:
            slot = self._new_slot()
            self.prepared.add(kind, slot)
            with _told("no host can be made ahead"):
                self._fork(slot, prepare=kind)
            if slot not in self.hosts:
                self.prepared.lost(slot, now)

    def _bury(self, host: HostProcess) -> None:
        self.prepared.lost(host.slot, time.monotonic())
        del self.hosts[host.slot]
        self.tally.forget(host.slot)
        with contextlib.suppress(KeyError):  # which has ended already
            self.selector.unregister(host.control)
        host.control.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.runtime / host.slot)
        if host.dismissed:
            return
        reason = host.killed or host.exit_reason()
        instance = host.pulse.read()[1]
        self.deaths[host.slot] = Death(reason, instance=instance, ended_by_us=bool(host.killed))
        self.restarts.setdefault(host.slot, []).append(time.monotonic())
        self.tally.add({"host_restarts": 1})
        log.warning("host %s (process %d) ended: %s", host.slot, host.pid, reason)

    def _keep_house(self) -> None:
        for slot in [slot for slot in self.placed if slot not in self.hosts]:
            for token in folders.sweep(self.instances, self.settings.IDLE_SECONDS, slot=slot, but=()):
                self.placed[slot].discard(token)
        live: dict[str, set[str]] = {}
        for token in folders.tokens(self.instances):
            live.setdefault(folders.slot_of(token) or "", set()).add(token)
        # A place whose creation never came about is free again at the second look.
        for slot, tokens in self.placed.items():
            tokens &= live.get(slot, set()) | self._doubtful
        self._doubtful = set().union(*self.placed.values()) - set().union(*live.values())
        self.placed = {slot: tokens for slot, tokens in self.placed.items() if tokens}
        folders.remove_old(self.data, self.settings.JOURNAL_DAYS)
        self.tally.measure_storage(self.data)

    _doubtful: set[str] = set()

    def _drain(self) -> None:
        """Ends the hosts in order: each tells its streams and leaves its journals whole."""
        self.listener.close()
        for host in self.hosts.values():
            host.dismiss()
        deadline = time.monotonic() + self.settings.SHUTDOWN_SECONDS
        while any(host.alive() for host in self.hosts.values()):
            if time.monotonic() > deadline:
                for host in self.hosts.values():
                    host.kill("it did not stop in time")
            time.sleep(0.01)

    # --- clients --------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            client, _ = self.listener.accept()
        except OSError as error:  # no descriptor is free, or it has hung up
            log.warning("a connection cannot be accepted: %s", error)
            time.sleep(0.01)  # it goes on waiting at the listener
            return
        client.settimeout(5)
        self.clients.add(client)
        messages = Messages()
        self.selector.register(client, selectors.EVENT_READ, lambda: self._serve(client, messages))

    def _serve(self, client: socket.socket, messages: Messages) -> None:
        try:
            data = client.recv(65536)
            for name, *args in messages.feed(data):
                client.sendall(encode(self._answer(name, args)))
        except OSError:
            data = b""
        if not data:
            self.selector.unregister(client)
            self.clients.discard(client)
            client.close()

    def _answer(self, name: str, args: list[Any]) -> tuple[str | None, Any]:
        operations: dict[str, Callable[..., Any]] = {
            "place": self.place,
            "admit_stream": self.tally.admit_stream,
            "count": self.tally.add,
            "ensure": self.ensure,
            "death": self.death,
            "status": self.status,
            "stop": self.stop,
        }
        try:
            return None, operations[name](*args)
        except errors.GymserveError as error:
            return refusal(error)
        except OSError as error:
            return "Unavailable", [f"{name}: {error}"]

    def place(self, kind: str, key: str | None, body: str, account: int, alone: bool) -> dict[str, Any]:
        """A token for a new instance; the same one again for an account's repeated `Idempotency-Key`.

        Args:
            kind: how its environment is made, if it is to have a host of its own; else "".

        Raises:
            KeyReused: the key was used for another request.
            LimitReached: there are as many instances as the settings allow.
        """
        if key and (known := self.placements.known(account, key, body)) is not None:
            return {"token": known, "new": False}
        if account:
            self.tally.admit_instance(account, (token for tokens in self.placed.values() for token in tokens))
        slot = self._choose(kind)
        token = folders.new_token(slot, account, alone=alone)
        if key:
            self.placements.note(account, key, body, token)
        self.placed.setdefault(slot, set()).add(token)
        return {"token": token, "new": True}

    def _choose(self, kind: str) -> str:
        if sum(map(len, self.placed.values())) >= self.settings.MAX_INSTANCES:
            raise errors.LimitReached(f"there are MAX_INSTANCES = {self.settings.MAX_INSTANCES} instances already")
        if not kind:
            slots = [f"s{index}" for index in range(self.settings.SHARED_HOSTS)]
            return min(slots, key=lambda slot: len(self.placed.get(slot, ())))
        most = self.settings.MAX_DEDICATED_HOSTS
        if self._dedicated() >= most:
            raise errors.LimitReached(f"there are MAX_DEDICATED_HOSTS = {most} instances with their own host already")
        return self.prepared.take(kind, time.monotonic()) or self._new_slot()

    def _dedicated(self) -> int:
        """How many hosts of their own are taken."""
        return sum(slot[0] == "d" for slot, tokens in self.placed.items() if tokens)

    def _new_slot(self) -> str:
        self.next_dedicated += 1
        return f"d{self.next_dedicated - 1}"

    def ensure(self, slot: str) -> dict[str, Any]:
        """Where the slot's host listens; `wait` is not 0 while a host that dies again and again is held back."""
        host = self.hosts.get(slot)
        if host is not None and not host.alive():
            self._bury(host)
            host = None
        if host is None:
            wait = self._back_off(slot)
            if wait > 0:
                return {"path": "", "wait": wait}
            self._fork(slot)
        return {"path": str(self.runtime / slot), "wait": 0.0}

    def _back_off(self, slot: str) -> float:
        """Seconds until a slot's next host; none where no instance waits, and each call is another environment's."""
        now = time.monotonic()
        recent = [moment for moment in self.restarts.get(slot, []) if now - moment < 10]
        self.restarts[slot] = recent
        if len(recent) < 5 or slot == folders.CATALOGUE:
            return 0.0
        return max(0.0, recent[-1] + min(self.settings.RESTART_SECONDS, 0.1 * 2.0 ** (len(recent) - 5)) - now)

    def _fork(self, slot: str, *, prepare: str = "") -> None:
        path = self.runtime / slot
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        others = [self.listener, self.selector, *self.clients, *(host.control for host in self.hosts.values())]
        host = fork(slot, path, self.settings, self.catalogue, close=others, prepare=prepare)
        self.hosts[slot] = host
        messages = Messages()
        self.selector.register(host.control, selectors.EVENT_READ, lambda: self._hear(host, messages))

    def _hear(self, host: HostProcess, messages: Messages) -> None:
        """A host says that an instance was closed, what it did lately, or that it has ended."""
        if self.hosts.get(host.slot) is not host:
            return  # it was buried by what another socket brought in the same round
        try:
            data = host.control.recv(65536)
        except OSError:
            data = b""
        for kind, *told in messages.feed(data):
            if kind == "report":
                self.tally.report(host.slot, *told)
                continue
            token = told[0]
            self._slot(token).discard(token)
            if host.slot[0] == "d" and not self._slot(token):
                self.placed.pop(host.slot, None)
                self.restarts.pop(host.slot, None)
                host.dismiss()
        if not data:
            self.selector.unregister(host.control)
            if host.wait(0.0 if host.dismissed else 1.0):
                self._bury(host)  # or else the next look finds it dead

    def death(self, slot: str, token: str) -> dict[str, Any]:
        """Why the slot's last host ended, and whether that was in a call of this instance."""
        host = self.hosts.get(slot)
        if host is not None and host.wait(1.0):
            self._bury(host)
        death = self.deaths.get(slot)
        if death is None:
            return {"culprit": False, "reason": "its host ended", "ended_by_us": False}
        culprit = death.instance == number(token)
        return {"culprit": culprit, "reason": death.reason, "ended_by_us": death.ended_by_us}

    def status(self) -> dict[str, Any]:
        """Numbers for `/health` and `/metrics`."""
        return {
            "hosts": {slot: host.pid for slot, host in self.hosts.items()},
            "instances": sum(map(len, self.placed.values())),
            "streams": self.tally.streams,
            "clients": len(self.clients),
            "counters": self.tally.counters,
            "uptime_seconds": time.monotonic() - self.started,
        }

    def stop(self) -> None:
        """Drains and ends."""
        self.running = False


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Goes on where the system refuses something, such as a process or a file, and says so: hosts must not end with it."""
    try:
        yield
    except OSError as error:
        log.warning("%s: %s", what, error)
