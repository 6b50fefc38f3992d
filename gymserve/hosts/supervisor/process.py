"""The supervisor: forks hosts, chooses the host of each instance, watches hosts, and explains why one died.

It is single-threaded and has imported the simulators, so a forked host is ready within milliseconds.
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
from gymserve.hosts.supervisor.idempotency import IdempotencyKeys
from gymserve.hosts.supervisor.quotas import Quotas
from gymserve.hosts.supervisor.settings import SupervisorSettings
from gymserve.hosts.supervisor.slots import Slots
from gymserve.hosts.supervisor.warm import WarmHosts

WATCH_SECONDS = 0.1
HOUSEKEEPING_SECONDS = 60.0
LINGER_SECONDS = 5.0  # how long the supervisor outlives the last serving process
log = logging.getLogger("gymserve.supervisor")


class Death(NamedTuple):
    """How a host ended."""

    reason: str
    instance: int  # the number of the instance whose call was under way, see `hosts/pulse.py`
    ended_by_us: bool


class Supervisor:
    """Serves the requests of workers, and keeps the hosts of one data directory running.

    Args:
        runtime: a private directory for sockets, with a short path.
        lock: the descriptor of the data directory's lock, which hosts inherit.
    """

    def __init__(
        self, settings: SupervisorSettings, catalogue: environments.Catalogue, runtime: Path, lock: int
    ) -> None:
        self.settings, self.catalogue = settings, catalogue
        self.runtime, self.lock = runtime, lock
        self.data = Path(settings.data)
        self.instances = self.data / "instances"
        self.hosts: dict[str, HostProcess] = {}
        self.deaths: dict[str, Death] = {}
        self.quotas = Quotas(settings.quotas)
        self.idempotency_keys = IdempotencyKeys(self.data / "idempotency")
        self.warm_hosts = WarmHosts(settings.prepared_hosts)
        self.restarts: dict[str, list[float]] = {}
        self.slots = Slots(settings.slots, self.warm_hosts, folders.tokens(self.instances))
        self.started = time.monotonic()
        self.running = True
        self.own_children = child_processes.children(os.getpid())  # started by an organiser's module
        self.alone_since = time.monotonic()
        self.selector = selectors.DefaultSelector()
        self.clients = Clients(runtime / "supervisor", self.selector, self._answer)

    # --- the loop -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serves until it is stopped, or until the last client has been gone for `LINGER_SECONDS`."""
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "running", False))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        watch = housekeeping = 0.0
        while self.running:
            for key, _ in self.selector.select(WATCH_SECONDS):
                key.data()
            now = time.monotonic()
            if now >= watch:  # not after each request, since it reads files of every host
                watch = now + WATCH_SECONDS
                self._watch(now)
                self._keep_hosts_warm(now)
            if now >= housekeeping:
                housekeeping = now + HOUSEKEEPING_SECONDS
                with _log_refusals("the data directory cannot be swept"):
                    self._clean_up()
            if self.clients:
                self.alone_since = now
            elif now - self.alone_since > LINGER_SECONDS:
                break
        self._drain()

    def _watch(self, now: float) -> None:
        """Removes hosts that have ended, and kills those that hang or use too much memory."""
        for host in list(self.hosts.values()):
            if host.alive():
                self._limit(host, now)
            else:
                self._remove_dead(host)
        self._end_orphans()

    def _limit(self, host: HostProcess, now: float) -> None:
        """Kills a host that hangs, is stopped by a signal, or uses too much memory."""
        if host.hung(now) > self.settings.step_seconds:
            host.kill(f"a call took longer than STEP_SECONDS = {self.settings.step_seconds:g} s", by_call=True)
        elif host.stopped(now) > self.settings.step_seconds:
            host.kill(f"its host was stopped by a signal, for STEP_SECONDS = {self.settings.step_seconds:g} s")
        elif host.memory_mb(now) > self.settings.host_memory_mb:
            host.kill(f"its host used more than HOST_MEMORY_MB = {self.settings.host_memory_mb} MB", by_call=True)

    def _end_orphans(self) -> bool:
        """Kills the processes that ended hosts have left behind; returns whether there were any."""
        orphans = child_processes.children(os.getpid()) - self.own_children - {host.pid for host in self.hosts.values()}
        child_processes.kill(orphans)
        return bool(orphans)

    def _keep_hosts_warm(self, now: float) -> None:
        """Starts a warm host for a kind that may be requested soon, and stops warm hosts that are no longer needed."""
        for slot in self.warm_hosts.pop_unused(now):
            self.hosts[slot].dismiss()
        kind = self.warm_hosts.missing(now)
        if kind is not None and self.slots.dedicated + len(self.warm_hosts) < self.settings.max_dedicated_hosts:
            slot = self.slots.new()
            self.warm_hosts.add(kind, slot)
            with _log_refusals("cannot start a warm host"):
                self._fork(slot, warm_kind=kind)
            if slot not in self.hosts:
                self.warm_hosts.note_end(slot, now)

    def _remove_dead(self, host: HostProcess) -> None:
        self.warm_hosts.note_end(host.slot, time.monotonic())
        del self.hosts[host.slot]
        self.quotas.forget(host.slot)
        with contextlib.suppress(KeyError):  # it was unregistered when the socket closed
            self.selector.unregister(host.control)
        host.control.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.runtime / host.slot)
        if host.dismissed:
            self.deaths.pop(host.slot, None)  # an earlier host's death in this slot is no longer of interest
            return
        reason = host.killed or host.exit_reason()
        instance = host.pulse.read()[1]
        for token in self.slots.of(host.slot):
            alone = host.slot[0] != "s"  # the memory limit is noticed between calls too
            caused = number(token) == instance or (alone and not instance and bool(host.killed))
            (blame.note if caused and host.ended_by_call() else blame.clear)(self.instances / token)
        self.deaths[host.slot] = Death(reason, instance=instance, ended_by_us=bool(host.killed))
        self.restarts.setdefault(host.slot, []).append(time.monotonic())
        self.quotas.add({"host_restarts": 1})
        log.warning("host %s (process %d) ended: %s", host.slot, host.pid, reason)

    def _clean_up(self) -> None:
        for slot in [slot for slot in self.slots if slot not in self.hosts]:
            for token in folders.sweep(self.instances, self.settings.idle_seconds, slot=slot, loaded=()):
                self.slots.of(slot).discard(token)
        self.slots.compare(folders.tokens(self.instances))
        folders.remove_old(self.data, self.settings.journal_days)
        self.quotas.measure_storage(self.data)

    def _drain(self) -> None:
        """Stops the hosts, which end their streams and close their journals; kills those that do not stop in time."""
        self.clients.close()
        for host in self.hosts.values():
            if host.slot in self.warm_hosts:
                host.kill("it has no instance yet")  # it may be busy making an environment
            else:
                host.dismiss()
        deadline = time.monotonic() + self.settings.shutdown_seconds
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
                return self.quotas.admit_stream(slot, account)
            case messages.AdmitStorage(account):
                return self.quotas.admit_storage(account)
            case messages.AddCounts(increments):
                return self.quotas.add(increments)
            case messages.GetStatus():
                return self.status()
            case messages.Stop():
                self.running = False
                return None

    def place(self, request: messages.PlaceInstance) -> messages.Placement:
        """Chooses a host and a token for a new instance; a repeated `Idempotency-Key` gets the same token again.

        Raises:
            KeyReused: the key was used for another request.
            LimitReached: the settings allow no further instance.
        """
        key, body, account = request.key, request.body, request.account
        if key and (token := self.idempotency_keys.token(account, key, body)) is not None:
            return messages.Placement(token, new=False)
        if account:
            self.quotas.admit_instance(account, self.slots.tokens)
        slot = self.slots.choose(request.kind, request.apart)
        token = folders.new_token(slot, account, alone=request.alone)
        if key:
            self.idempotency_keys.note(account, key, body, token)
        self.slots.add(token)
        return messages.Placement(token, new=True)

    def ensure(self, slot: str) -> messages.HostAddress:
        """Starts the slot's host if necessary, and returns its address; `wait` is positive while a crash loop is delayed."""
        host = self.hosts.get(slot)
        if host is not None and not host.alive():
            self._remove_dead(host)
            host = None
        if host is None:
            wait = self._back_off(slot)
            if wait > 0:
                return messages.HostAddress("", wait)
            self._fork(slot)
        return messages.HostAddress(str(self.runtime / slot))

    def _back_off(self, slot: str) -> float:
        """Seconds until a slot's host may be restarted; 0 for the catalogue, whose calls each have another environment."""
        now = time.monotonic()
        recent = [moment for moment in self.restarts.get(slot, []) if now - moment < 10]
        self.restarts[slot] = recent
        if len(recent) < 5 or slot == folders.CATALOGUE:
            return 0.0
        return max(0.0, recent[-1] + min(self.settings.restart_seconds, 0.1 * 2.0 ** (len(recent) - 5)) - now)

    def _fork(self, slot: str, *, warm_kind: str = "") -> None:
        path = self.runtime / slot
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        others = [self.selector, *self.clients.sockets, *(host.control for host in self.hosts.values())]
        host = fork(slot, path, self.settings.host, self.catalogue, close=others, lock=self.lock, warm_kind=warm_kind)
        self.hosts[slot] = host
        notices = Messages(messages.host_notice)
        self.selector.register(host.control, selectors.EVENT_READ, lambda: self._receive_notices(host, notices))

    def _receive_notices(self, host: HostProcess, notices: Messages) -> None:
        """Receives notices from a host, and removes it when its connection closes."""
        if self.hosts.get(host.slot) is not host:
            return  # it was removed by a request in the same round
        try:
            data = host.control.recv(65536)
        except OSError:
            data = b""
        for notice in notices.feed(data):
            self._handle_notice(host, notice)
        if not data:
            self.selector.unregister(host.control)
            if host.wait(0.0 if host.dismissed else 1.0):
                self._remove_dead(host)  # otherwise `_watch` removes it later

    def _handle_notice(self, host: HostProcess, notice: messages.HostNotice) -> None:
        match notice:
            case messages.ReportUse(streams, counts):
                self.quotas.report(host.slot, streams, counts)
            case messages.NoteMaking(kind, seconds):
                self.slots.note_making(kind, seconds)
            case messages.NoteClosed(token):
                self.release(token)
            case messages.NoteLeaving():
                host.dismissed = True

    def release(self, token: str) -> None:
        """Frees the place of an instance that was closed or could not be created, and stops its host if it had its own."""
        if (slot := self.slots.release(token)) is not None:
            self.restarts.pop(slot, None)
            if (host := self.hosts.get(slot)) is not None:
                host.dismiss()

    def explain(self, slot: str, token: str) -> messages.Loss:
        """Explains why the slot's last host ended, and whether that was during a call of this instance."""
        host = self.hosts.get(slot)
        if host is not None and host.wait(1.0):
            self._remove_dead(host)
        death = self.deaths.get(slot)
        if death is None:
            return messages.Loss(culprit=False, reason="its host ended", ended_by_us=False)
        return messages.Loss(death.instance == number(token), death.reason, death.ended_by_us)

    def status(self) -> messages.SupervisorStatus:
        """The numbers for `/health` and `/metrics`."""
        return messages.SupervisorStatus(
            hosts={slot: host.pid for slot, host in self.hosts.items()},
            instances=self.slots.instances,
            streams=self.quotas.streams,
            clients=len(self.clients),
            counters=self.quotas.counters,
            uptime_seconds=time.monotonic() - self.started,
        )


@contextlib.contextmanager
def _log_refusals(what: str) -> Iterator[None]:
    """Logs errors of the operating system and goes on, because the hosts would end with the supervisor."""
    try:
        yield
    except OSError as error:
        log.warning("%s: %s", what, error)
