"""The supervisor: forks hosts, places instances in them, watches them and tells why one died.

It is a single thread that has imported what environments need, so a forked host is ready within milliseconds.
"""

import contextlib
import logging
import os
import selectors
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gymserve import environments
from gymserve.hosts import child_processes, folders, messages
from gymserve.hosts.instance import blame
from gymserve.hosts.link import Messages
from gymserve.hosts.pulse import number
from gymserve.hosts.supervisor.clients import Clients
from gymserve.hosts.supervisor.forking import HostProcess, fork
from gymserve.hosts.supervisor.idempotency import Placements
from gymserve.hosts.supervisor.quotas import Tally
from gymserve.hosts.supervisor.slots import Slots
from gymserve.hosts.supervisor.warm import Prepared
from gymserve.settings import Settings

WATCH_SECONDS = 0.1
HOUSEKEEPING_SECONDS = 60.0
LINGER_SECONDS = 5.0  # how long the supervisor outlives the last process that serves
log = logging.getLogger("gymserve.supervisor")


class Death(NamedTuple):
    """How a host ended."""

    reason: str
    instance: int  # in whose call, see `hosts/pulse.py`
    ended_by_us: bool


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
        self.slots = Slots(settings, self.prepared, folders.tokens(self.instances))
        self.started = time.monotonic()
        self.running = True
        self.own = child_processes.children(os.getpid())  # of an organiser's module
        self.alone_since = time.monotonic()
        self.selector = selectors.DefaultSelector()
        self.clients = Clients(runtime / "supervisor", self.selector, self._answer)

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
            if host.alive():
                self._limit(host, now)
            else:
                self._bury(host)
        self._end_orphans()

    def _limit(self, host: HostProcess, now: float) -> None:
        """Kills a host that hangs, is stopped by a signal, or uses too much memory."""
        if host.hung(now) > self.settings.STEP_SECONDS:
            host.kill(f"a call took longer than STEP_SECONDS = {self.settings.STEP_SECONDS:g} s", by_call=True)
        elif host.stopped(now) > self.settings.STEP_SECONDS:
            host.kill(f"its host was stopped by a signal, for STEP_SECONDS = {self.settings.STEP_SECONDS:g} s")
        elif host.memory_mb(now) > self.settings.HOST_MEMORY_MB:
            host.kill(f"its host used more than HOST_MEMORY_MB = {self.settings.HOST_MEMORY_MB} MB", by_call=True)

    def _end_orphans(self) -> bool:
        """Ends what hosts have left behind; whether there was something."""
        orphans = child_processes.children(os.getpid()) - self.own - {host.pid for host in self.hosts.values()}
        child_processes.kill(orphans)
        return bool(orphans)

    def _prepare(self, now: float) -> None:
        """Lets a host make an environment that may be asked for soon; ends those that wait in vain."""
        for slot in self.prepared.surplus(now):
            self.hosts[slot].dismiss()
        kind = self.prepared.missing(now)
        if kind is not None and self.slots.dedicated + len(self.prepared) < self.settings.MAX_DEDICATED_HOSTS:
            slot = self.slots.new()
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
            self.deaths.pop(host.slot, None)  # of one before it
            return
        reason = host.killed or host.exit_reason()
        instance = host.pulse.read()[1]
        for token in self.slots.of(host.slot):
            alone = host.slot[0] != "s"  # memory grows in no call
            own = number(token) == instance or (alone and not instance and bool(host.killed))
            (blame.note if own and host.ended_by_call() else blame.clear)(self.instances / token)
        self.deaths[host.slot] = Death(reason, instance=instance, ended_by_us=bool(host.killed))
        self.restarts.setdefault(host.slot, []).append(time.monotonic())
        self.tally.add({"host_restarts": 1})
        log.warning("host %s (process %d) ended: %s", host.slot, host.pid, reason)

    def _keep_house(self) -> None:
        for slot in [slot for slot in self.slots if slot not in self.hosts]:
            for token in folders.sweep(self.instances, self.settings.IDLE_SECONDS, slot=slot, but=()):
                self.slots.of(slot).discard(token)
        self.slots.compare(folders.tokens(self.instances))
        folders.remove_old(self.data, self.settings.JOURNAL_DAYS)
        self.tally.measure_storage(self.data)

    def _drain(self) -> None:
        """Ends the hosts in order: each tells its streams and leaves its journals whole."""
        self.clients.close()
        for host in self.hosts.values():
            if host.slot in self.prepared:
                host.kill("it has no instance yet")  # and may be busy with making one
            else:
                host.dismiss()
        deadline = time.monotonic() + self.settings.SHUTDOWN_SECONDS
        while (alive := [host for host in self.hosts.values() if host.alive()]) or self._end_orphans():
            now = time.monotonic()
            for host in alive:
                self._limit(host, now)
                if now > deadline:
                    host.kill("it did not stop in time")
            time.sleep(0.01)

    # --- requests -------------------------------------------------------------------------------------------------

    def _answer(self, request: messages.SupervisorRequest) -> Any:
        match request:
            case messages.EnsureHost(slot):
                return self.ensure(slot)
            case messages.PlaceInstance():
                return self.place(request)
            case messages.ReleaseInstance(token):
                return self.release(token)
            case messages.ExplainLoss(slot, token):
                return self.explain(slot, token)
            case messages.AdmitStream(slot, account):
                return self.tally.admit_stream(slot, account)
            case messages.AdmitStorage(account):
                return self.tally.admit_storage(account)
            case messages.AddCounts(increments):
                return self.tally.add(increments)
            case messages.GetStatus():
                return self.status()
            case messages.Stop():
                self.running = False
                return None

    def place(self, request: messages.PlaceInstance) -> messages.Placement:
        """A token for a new instance; the same one again for an account's repeated `Idempotency-Key`.

        Raises:
            KeyReused: the key was used for another request.
            LimitReached: there are as many instances as the settings allow.
        """
        key, body, account = request.key, request.body, request.account
        if key and (known := self.placements.known(account, key, body)) is not None:
            return messages.Placement(known, new=False)
        if account:
            self.tally.admit_instance(account, self.slots.tokens)
        slot = self.slots.choose(request.kind, request.apart)
        token = folders.new_token(slot, account, alone=request.alone)
        if key:
            self.placements.note(account, key, body, token)
        self.slots.add(token)
        return messages.Placement(token, new=True)

    def ensure(self, slot: str) -> messages.HostAddress:
        """Where the slot's host listens; `wait` is not 0 while a host that dies again and again is held back."""
        host = self.hosts.get(slot)
        if host is not None and not host.alive():
            self._bury(host)
            host = None
        if host is None:
            wait = self._back_off(slot)
            if wait > 0:
                return messages.HostAddress("", wait)
            self._fork(slot)
        return messages.HostAddress(str(self.runtime / slot))

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
        others = [self.selector, *self.clients.sockets, *(host.control for host in self.hosts.values())]
        host = fork(slot, path, self.settings, self.catalogue, close=others, lock=self.lock, prepare=prepare)
        self.hosts[slot] = host
        notices = Messages(messages.host_notice)
        self.selector.register(host.control, selectors.EVENT_READ, lambda: self._hear(host, notices))

    def _hear(self, host: HostProcess, notices: Messages) -> None:
        """A host says that an instance was made or closed, what it did lately, or that it is about to end, or has."""
        if self.hosts.get(host.slot) is not host:
            return  # it was buried by what another socket brought in the same round
        try:
            data = host.control.recv(65536)
        except OSError:
            data = b""
        for notice in notices.feed(data):
            self._take_note(host, notice)
        if not data:
            self.selector.unregister(host.control)
            if host.wait(0.0 if host.dismissed else 1.0):
                self._bury(host)  # or else the next look finds it dead

    def _take_note(self, host: HostProcess, notice: messages.HostNotice) -> None:
        match notice:
            case messages.ReportUse(streams, counts):
                self.tally.report(host.slot, streams, counts)
            case messages.NoteMaking(kind, seconds):
                self.slots.note_making(kind, seconds)
            case messages.NoteClosed(token):
                self.release(token)
            case messages.NoteLeaving():
                host.dismissed = True

    def release(self, token: str) -> None:
        """An instance was closed, or could not be made: its place is free, and a host of its own ends."""
        if (slot := self.slots.release(token)) is not None:
            self.restarts.pop(slot, None)
            if (host := self.hosts.get(slot)) is not None:
                host.dismiss()

    def explain(self, slot: str, token: str) -> messages.Loss:
        """Why the slot's last host ended, and whether that was in a call of this instance."""
        host = self.hosts.get(slot)
        if host is not None and host.wait(1.0):
            self._bury(host)
        death = self.deaths.get(slot)
        if death is None:
            return messages.Loss(culprit=False, reason="its host ended", ended_by_us=False)
        return messages.Loss(death.instance == number(token), death.reason, death.ended_by_us)

    def status(self) -> messages.Status:
        """Numbers for `/health` and `/metrics`."""
        return messages.Status(
            hosts={slot: host.pid for slot, host in self.hosts.items()},
            instances=self.slots.instances,
            streams=self.tally.streams,
            clients=len(self.clients),
            counters=self.tally.counters,
            uptime_seconds=time.monotonic() - self.started,
        )


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Goes on where the system refuses something, such as a process or a file, and says so: hosts must not end with it."""
    try:
        yield
    except OSError as error:
        log.warning("%s: %s", what, error)
