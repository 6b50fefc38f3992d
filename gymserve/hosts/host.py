"""A host: one process, one event loop, in which instances live."""

import contextlib
import io
import json
import logging
import os
import select
import signal
import socket
import time
from pathlib import Path
from typing import Any

from PIL import Image

from gymserve import environments, errors
from gymserve.hosts import answers, folders, revival, trials
from gymserve.hosts.channel import Channel
from gymserve.hosts.graded import Graded
from gymserve.hosts.instance import Instance, Move
from gymserve.hosts.link import encode
from gymserve.hosts.pace import Paces
from gymserve.hosts.pulse import CALLS, INSTANCE, Pulse
from gymserve.hosts.report import Report
from gymserve.hosts.stream import Stream
from gymserve.hosts.versions import versions
from gymserve.hosts.workers import Workers
from gymserve.settings import Settings

TICK_SECONDS = 1.0
SWEEP_SECONDS = 60.0


class Host:
    """Makes, steps and revives the instances whose tokens start with `slot`.

    Args:
        slot: this host's name; stays when its process is replaced.
        listener: where gunicorn workers connect.
        supervisor: the socket to the supervisor; its end is this process' end.
    """

    def __init__(
        self,
        slot: str,
        *,
        listener: socket.socket,
        supervisor: socket.socket,
        settings: Settings,
        catalogue: environments.Catalogue,
        pulse: Pulse,
    ) -> None:
        self.slot = slot
        self.log = logging.getLogger(f"gymserve.hosts.{slot}")
        self.settings = settings
        self.catalogue = catalogue
        self.pulse = pulse.page
        self.folder = Path(settings.DATA) / "instances"
        self.instances: dict[str, Instance] = {}
        self.channels: dict[int, Any] = {}
        self.streams: dict[str, set[Stream]] = {}
        self.now = time.monotonic()
        self._next_sweep = self.now + SWEEP_SECONDS
        self._report = Report()
        self._reported = self.now
        self.paces = Paces(settings)
        self.running = True
        self._spare: tuple[str, Any] | None = None  # a kind of environment, and one that was made already
        self.poll = select.epoll()
        self.supervisor = Supervisor(self, supervisor)
        self.listener = Listener(self, listener)

    # --- the loop -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serves until the supervisor says stop, or is gone."""
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "running", False))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        channels = self.channels
        next_tick = self.now + TICK_SECONDS
        looks = 0
        while self.running:
            ready, looks = self._ready(looks), 0
            for descriptor, events in ready:
                channel = channels.get(descriptor)
                if channel is not None:
                    looks = looks or channel.looks
                    self.now = time.monotonic()
                    try:
                        channel.ready(events)
                    except Exception:  # one agent's trouble must not become that of all
                        self.log.exception("a connection failed")
                        channel.close()
            if self.now >= next_tick or time.monotonic() >= next_tick:
                self.now = time.monotonic()
                next_tick = self.now + TICK_SECONDS
                self._tick()
        self._drain()

    def _ready(self, looks: int) -> list[tuple[int, int]]:
        """What can be read or written, as soon as something can.

        An agent on a stream that was just answered often asks again within microseconds: looking again a few times, and
        letting others run in between, is much cheaper than being put to sleep and woken up on another core.
        """
        poll = self.poll.poll
        for _ in range(looks):
            if ready := poll(0):
                return ready
            os.sched_yield()
        return poll(TICK_SECONDS)

    def _tick(self) -> None:
        for streams in list(self.streams.values()):
            for stream in list(streams):
                stream.tick(self.settings.STREAM_PING_SECONDS)
        self._tell()
        oldest = self.now - self.settings.IDLE_SECONDS
        for instance in [one for one in self.instances.values() if one.used < oldest]:
            self.close(instance, f"idle for {self.settings.IDLE_SECONDS:g} s")
        for instance in list(self.instances.values()):
            if reason := instance.expired(self.now):
                self.close(instance, reason)
        if self.now > self._next_sweep:
            self._next_sweep = self.now + SWEEP_SECONDS
            for token in folders.sweep(self.folder, self.settings.IDLE_SECONDS, slot=self.slot, but=self.instances):
                self.supervisor.send(encode(("closed", token)))

    def _tell(self) -> None:
        """Tells the supervisor what was done lately."""
        for instance in self.instances.values():
            if instance.used >= self._reported:
                self._report.add(instance)
        self._reported = self.now
        if message := self._report.message(self.streams):
            self.supervisor.send(encode(message))

    def _drain(self) -> None:
        """Tells the streams, and leaves each journal so that the next start goes on from it."""
        self.listener.close()
        for channel in list(self.channels.values()):
            if isinstance(channel, Stream) and not channel.closed:
                channel.bye(1012, "the server restarts: connect again")
        self._tell()
        for instance in self.instances.values():
            instance.unload()

    # --- instances ------------------------------------------------------------------------------------------------

    def prepare(self, kind: str) -> None:
        """Makes an environment before it is asked for. One that cannot be made is told of when it is."""
        self.pulse[CALLS] += 1
        self.pulse[INSTANCE] = 1  # so that a constructor that hangs is found
        try:
            self._spare = kind, trials.make(self.catalogue, json.loads(kind))
        except errors.GymserveError as error:
            self.log.info("an environment cannot be prepared: %s", error)
        finally:
            self.pulse[INSTANCE] = 0

    def create(self, token: str, order: dict[str, Any]) -> Instance:
        """Makes an instance; `order` says how (the first record of its journal, but for versions and time)."""
        if token in self.instances:  # a repeated call
            return self.instances[token]
        folder = self.folder / token
        if folder.exists():
            return self.load(token)
        meta = {**order, "created": time.time(), "versions": versions()}
        spare, self._spare = self._spare, None
        env = spare[1] if spare is not None and spare[0] == trials.kind(meta) else None
        limit = self.settings.JOURNAL_BYTES
        return self._adopt(revival.begin(token, folder, meta, self.catalogue, limit=limit, pulse=self.pulse, env=env))

    def _adopt(self, instance: Instance) -> Instance:
        instance.pace = self.paces.of(instance.token)
        self.instances[instance.token] = instance
        return instance

    def load(self, token: str) -> Instance:
        """The instance with this token; one that was lost with its process is revived from its journal.

        Raises:
            UnknownInstance: there is none.
        """
        instance = self.instances.get(token)
        if instance is None:
            folder = self.folder / token
            if not (folder / "journal").exists():
                raise errors.UnknownInstance(f"Instance_id {token} unknown")
            instance = self._adopt(revival.revive(token, folder, self.catalogue, self.settings, self.pulse))
        instance.used = self.now
        return instance

    def step(self, instance: Instance, action: Any, packed: Any, seq: int | None) -> Move:
        """Acts once, see `Instance.step`."""
        instance.used = self.now
        if instance.pace is not None:
            instance.pace.take(instance.meta["num_envs"])
        try:
            return instance.step(action, packed, seq)
        except (errors.EnvironmentFailed, errors.StorageFull):
            self._forget(instance)
            raise

    def step_json(self, instance: Instance, action: Any, call: int | None) -> Move:
        """Acts once, with an action as it came in JSON."""
        value = instance.actions.from_json(action)
        return self.step(instance, value, instance.actions.pack(value), call)

    def reset(self, instance: Instance, seed: Any, options: Any, call: int | None) -> Move:
        """Starts an episode, see `Instance.reset`."""
        seed, options = answers.checked_reset(instance, seed, options)
        instance.used = self.now
        try:
            return instance.reset(seed, options, call)
        except errors.StorageFull:
            self._forget(instance)
            raise
        except errors.EnvironmentFailed as error:
            self._forget(instance)
            if options:  # which are the caller's, and plain environments check them themselves
                raise errors.InvalidRequest(f"{error}, with these options") from error
            raise

    def render(self, instance: Instance) -> bytes:
        """The current picture as PNG."""
        instance.used = self.now
        picture = io.BytesIO()
        if instance.meta["render_mode"] == "rgb_array":
            pixels = instance.render()
        else:
            pixels = revival.twin_picture(instance, self.catalogue, self.pulse)
        Image.fromarray(pixels).save(picture, "png", compress_level=1)
        return picture.getvalue()

    def close(self, instance: Instance, reason: str) -> None:
        """Ends an instance; its journal moves among those of closed ones."""
        del self.instances[instance.token]
        with contextlib.suppress(errors.StorageFull):  # the folder's place says that it is closed
            instance.end(reason)
        instance.seal()
        folders.retire(instance.folder)
        self._report.add(instance)
        if message := self._report.message(self.streams):
            self.supervisor.send(encode(message))
        for stream in list(self.streams.get(instance.token, ())):
            if not stream.leaving:
                stream.bye(1000, f"the instance was closed: {reason}")
        self.supervisor.send(encode(("closed", instance.token)))
        instance.unload()  # last, since an environment may hang in it

    def _forget(self, instance: Instance) -> None:
        """Drops an instance whose environment may be anywhere; the next call revives it from its journal."""
        self.instances.pop(instance.token, None)
        self._report.add(instance)
        instance.unload()

    # --- streams --------------------------------------------------------------------------------------------------

    def joined(self, stream: Stream) -> None:
        """A graded instance has one stream: a new one takes over from the one before."""
        if isinstance(self.instances.get(stream.token), Graded):
            for other in list(self.streams.get(stream.token, ())):
                other.bye(1008, "another stream has taken over this graded instance")
        self.streams.setdefault(stream.token, set()).add(stream)

    def left(self, stream: Stream) -> None:
        streams = self.streams.get(stream.token, set())
        streams.discard(stream)
        if not streams:
            self.streams.pop(stream.token, None)


class Listener:
    """Accepts the workers' connections."""

    looks = 0

    def __init__(self, host: Host, sock: socket.socket) -> None:
        self.host, self.socket = host, sock
        sock.setblocking(False)
        host.channels[sock.fileno()] = self
        host.poll.register(sock.fileno(), select.EPOLLIN)

    def ready(self, events: int) -> None:
        try:
            connection, _ = self.socket.accept()
        except OSError:
            return
        Workers(self.host, connection)

    def close(self) -> None:
        self.host.channels.pop(self.socket.fileno(), None)
        self.socket.close()


class Supervisor(Channel):
    """The supervisor's end: when it closes, so does the host."""

    def ready(self, events: int) -> None:
        self.loop.running = False  # type: ignore[attr-defined]
