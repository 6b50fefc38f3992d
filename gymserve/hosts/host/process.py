"""A host: a process with one event loop, in which instances live."""

import contextlib
import logging
import os
import socket
import time
from pathlib import Path
from typing import Any

from gymserve import environments
from gymserve.environments.foreign import close
from gymserve.hosts import folders
from gymserve.hosts.channel import Channel
from gymserve.hosts.child_processes import ChildProcesses
from gymserve.hosts.host.report import UsageReport
from gymserve.hosts.host.settings import HostSettings
from gymserve.hosts.host.stream import StreamChannel
from gymserve.hosts.host.workers import Listener
from gymserve.hosts.instance import answers, blame, questions, rendering, revival, twin
from gymserve.hosts.instance.live import LiveInstance
from gymserve.hosts.instance.rate_limit import RateLimits
from gymserve.hosts.instance.time_step import TimeStep
from gymserve.hosts.lent.borrower import Borrower
from gymserve.hosts.link import encode
from gymserve.hosts.loop import Loop
from gymserve.hosts.messages import NoteClosed, NoteLeaving, NoteMaking
from gymserve.hosts.pulse import Pulse, number, watched
from gymserve.hosts.versions import versions
from gymserve.protocol import errors
from gymserve.protocol.recipe import Recipe
from gymserve.system import randomness

SWEEP_SECONDS = 60.0


class Host:
    """Creates, steps and revives the instances whose tokens start with `slot`.

    Args:
        slot: the host's name, which it keeps when its process is replaced.
        listener: the socket to which gunicorn workers connect.
        supervisor: the connection to the supervisor; the host ends when it closes.
    """

    def __init__(
        self,
        slot: str,
        *,
        listener: socket.socket,
        supervisor: socket.socket,
        settings: HostSettings,
        catalogue: environments.Catalogue,
        pulse: Pulse,
    ) -> None:
        self.slot = slot
        self.log = logging.getLogger(f"gymserve.hosts.{slot}")
        self.settings = settings
        self.catalogue = catalogue
        self.pulse = pulse.page
        self.folder = Path(settings.data) / "instances"
        self.loop = Loop(self.log)
        self.instances: dict[str, LiveInstance] = {}
        self.streams: dict[str, set[StreamChannel]] = {}
        self.borrowers: set[Borrower] = set()
        self._next_sweep = self.loop.now + SWEEP_SECONDS
        self._report = UsageReport()
        self._reported_at = self.loop.now
        self.rate_limits = RateLimits(Path(settings.data) / "rates", settings.steps_per_second)
        self._directory = os.getcwd()
        self.child_processes = ChildProcesses(self.pulse)
        self._tracked_at = self.loop.now
        self._warm_environment: tuple[str, Any] | None = None  # an unused environment and its kind
        self.supervisor = Control(self.loop, supervisor)
        self.listener = Listener(self, listener)

    # --- the loop -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serves until the supervisor stops the host or has ended."""
        self.loop.run(self._tick)
        self._drain()

    def _tick(self) -> None:
        for streams in list(self.streams.values()):
            for stream in list(streams):
                stream.tick(self.settings.stream_ping_seconds)
        self.borrowers = {borrower for borrower in self.borrowers if not borrower.closed}
        for borrower in self.borrowers:
            borrower.tick()
        self._report_use()
        self._track_processes()
        self._restore_directory()
        oldest = self.loop.now - self.settings.idle_seconds
        for instance in [one for one in self.instances.values() if one.used < oldest]:
            self.close(instance, f"idle for {self.settings.idle_seconds:g} s")
        for instance in list(self.instances.values()):
            if instance.graded is not None and (reason := instance.graded.expired(self.loop.now, instance.used)):
                self.close(instance, reason)
        if self.loop.now > self._next_sweep:
            self._next_sweep = self.loop.now + SWEEP_SECONDS
            for token in folders.sweep(self.folder, self.settings.idle_seconds, slot=self.slot, loaded=self.instances):
                self.supervisor.send(encode(NoteClosed(token)))

    def _report_use(self) -> None:
        """Reports to the supervisor what the instances did since the last report."""
        for instance in self.instances.values():
            if instance.used >= self._reported_at:
                self._report.add(instance)
        self._reported_at = self.loop.now
        if message := self._report.message(self.streams):
            self.supervisor.send(encode(message))

    def count_request(self, *, is_reset: bool, status: int, seconds: float) -> None:
        """Counts a request on a lent connection. Every step on one calls this."""
        self._report.count_request(is_reset, status, seconds)

    def _drain(self) -> None:
        """Ends the streams, and unloads the instances so that the next start revives them from their journals."""
        self.listener.close()
        for channel in list(self.loop.channels.values()):
            if isinstance(channel, StreamChannel) and not channel.closed:
                channel.close_with(1012, "the server restarts: connect again")
        self._report_use()
        for instance in self.instances.values():
            instance.unload()

    def _track_processes(self, *closed: str) -> None:
        """Finds the processes that environments have started, and the instances they belong to."""
        if self._warm_environment is not None:  # new processes may be its own
            return
        if self.child_processes.any():  # looks at no instances, of which there may be thousands
            called = [token for token, instance in self.instances.items() if instance.used >= self._tracked_at]
            self.child_processes.update({*closed, *self.instances}, {*closed, *called})
        self._tracked_at = self.loop.now

    # --- instances ------------------------------------------------------------------------------------------------

    def warm_up(self, kind: str) -> None:
        """Makes an environment of this kind ahead of the request for it; a failure is only logged.

        An environment whose constructor draws from the process' random generators is discarded, because it must be made
        with the seed of its instance.
        """
        try:
            with watched(self.pulse, number(kind)):
                before, env = randomness.state(), self.catalogue.make(Recipe.of_kind(kind))
            if randomness.state() == before:
                self._warm_environment = kind, env
            else:
                close(env)
        except errors.GymserveError as error:
            self.log.info("cannot make an environment ahead of time: %s", error)

    def create(self, token: str, recipe: Recipe) -> LiveInstance:
        """Creates an instance from a recipe, to which the time and the versions are added."""
        if token in self.instances:  # a repeated request
            return self.instances[token]
        folder = self.folder / token
        if folder.exists():
            return self.load(token)
        recipe = recipe.replace(created=time.time(), versions=versions())
        warm, self._warm_environment = self._warm_environment, None
        env = warm[1] if warm is not None and warm[0] == recipe.kind else None
        limit = self.settings.journal_bytes
        self._restore_directory()
        began = time.monotonic()
        with watched(self.pulse, number(token)):
            instance = revival.begin(token, folder, recipe, self.catalogue, limit=limit, pulse=self.pulse, env=env)
        seconds = time.monotonic() - began if env is None else None
        if not folders.is_shared(token):  # a kind in a shared host is known to be quick already
            self.supervisor.send(encode(NoteMaking(recipe.kind, seconds)))
        return self._register(instance)

    def _register(self, instance: LiveInstance) -> LiveInstance:
        instance.rate_limit = self.rate_limits.of(instance.token)
        self.instances[instance.token] = instance
        return instance

    def load(self, token: str) -> LiveInstance:
        """Returns the instance with this token, and revives it from its journal if its process was lost.

        Raises:
            UnknownInstance: no instance has this token.
        """
        instance = self.instances.get(token)
        if instance is None:
            folder = self.folder / token
            if not (folder / "journal").exists():
                raise errors.UnknownInstance(f"Instance_id {token} unknown")
            limit, seconds = self.settings.journal_bytes, self.settings.revive_seconds
            revived = revival.revive(token, folder, self.catalogue, limit=limit, seconds=seconds, pulse=self.pulse)
            instance = self._register(revived)
        instance.used = self.loop.now
        return instance

    def step(
        self, instance: LiveInstance, action: Any, packed: Any, seq: int | None, at: float | None = None
    ) -> TimeStep:
        """Acts once, see `LiveInstance.step`.

        Args:
            at: the monotonic time when the request had arrived completely; None means now.
        """
        instance.used = self.loop.now
        if instance.rate_limit is not None:
            instance.rate_limit.consume(instance.recipe.num_envs)
        try:
            return instance.step(action, packed, seq, at)
        except errors.StorageFull:
            self._drop(instance)
            raise
        except errors.EnvironmentFailed:
            self._drop(instance)
            if instance.graded is not None:
                blame.note(instance.folder)
            raise

    def step_json(self, instance: LiveInstance, action: Any, call: int | None, at: float | None = None) -> TimeStep:
        """Acts once, with an action as plain data from JSON."""
        actions = instance.recorded.actions
        value = actions.from_json(action)
        return self.step(instance, value, actions.pack(value), call, at)

    def step_packed(self, instance: LiveInstance, action: Any, call: int | None, at: float | None = None) -> TimeStep:
        """Acts once, with a packed action."""
        return self.step(instance, instance.recorded.actions.unpack(action), action, call, at)

    def reset(self, instance: LiveInstance, seed: Any, options: Any, call: int | None) -> TimeStep:
        """Starts an episode, see `LiveInstance.reset`."""
        options = answers.check_options(instance, seed, options)
        instance.used = self.loop.now
        try:
            return instance.reset(seed, options, call)
        except errors.StorageFull:
            self._drop(instance)
            raise
        except errors.EnvironmentFailed as error:
            self._drop(instance)
            if options:  # the caller's options are the likely cause, since plain environments check them themselves
                raise errors.InvalidRequest(f"{error}, with these options") from error
            raise

    def render(self, instance: LiveInstance) -> Any:
        """Renders the current state in the instance's render mode: a picture as PNG, or a list of them for a vector instance.

        An instance without a render mode is drawn by a twin, which shows only the first copy of a vector instance.

        Raises:
            Conflict: the state cannot be drawn, or must not be, because the picture would show a trial's secret options.
        """
        instance.used = self.loop.now
        if instance.graded is not None and instance.graded.has_variants:
            raise errors.Conflict(
                "the trials' options are secret, and pictures would show them; videos do when the phase is over"
            )
        mode = instance.recipe.render_mode
        if mode is None:
            return rendering.png(twin.picture(instance, self.catalogue))
        state = instance.render()
        if mode != "rgb_array":
            return state
        return [rendering.png(pixels) for pixels in state] if instance.recipe.is_vector else rendering.png(state)

    def ask(self, instance: LiveInstance, name: Any, arguments: Any) -> object:
        """Answers a wrapper's question to the environment itself, see `hosts/instance/questions.py`."""
        instance.used = self.loop.now
        with instance.recorded.watched():
            return questions.ask(instance, name, arguments)

    def close(self, instance: LiveInstance, reason: str) -> None:
        """Ends an instance, and moves its folder to those of the closed ones."""
        del self.instances[instance.token]
        with contextlib.suppress(errors.StorageFull):  # the folder's location marks the instance as closed anyway
            instance.end(reason)
        instance.seal()
        folders.retire(instance.folder)
        self._report.add(instance)
        for stream in list(self.streams.get(instance.token, ())):
            if not stream.leaving:
                stream.close_with(1000, f"the instance was closed: {reason}")
        report = self._report.message(self.streams)
        self.supervisor.send((encode(report) if report else b"") + encode(NoteClosed(instance.token)))
        self._unload(instance)  # last, because an environment may hang while it is closed

    def _drop(self, instance: LiveInstance) -> None:
        """Drops an instance whose environment is in an unknown state; the next call revives it from its journal."""
        self.instances.pop(instance.token, None)
        self._report.add(instance)
        self._unload(instance)

    def _unload(self, instance: LiveInstance) -> None:
        """Closes an instance's environment and kills the processes that it started.

        Threads cannot be killed, so a host with more than one thread ends after its last instance.
        """
        instance.unload()
        self._track_processes(instance.token)
        self.child_processes.release(instance.token)
        if not self.instances and self.loop.running and len(os.listdir("/proc/self/task")) > 1:
            self.supervisor.send(encode(NoteLeaving()))
            self.loop.stop()

    def _restore_directory(self) -> None:
        """Returns a shared host to its working directory, in case an environment has changed it."""
        if self.slot[0] == "s":
            os.chdir(self._directory)

    # --- streams --------------------------------------------------------------------------------------------------

    def stream_opened(self, stream: StreamChannel) -> None:
        """Registers a stream. A graded instance has only one: a new stream replaces the one before."""
        instance = self.instances.get(stream.token)
        if instance is not None and instance.graded is not None:
            for other in list(self.streams.get(stream.token, ())):
                other.close_with(1008, "another stream has taken over this graded instance")
        self.streams.setdefault(stream.token, set()).add(stream)
        self._report.had_streams = (
            True  # so that the supervisor's count is corrected even if it closes before the report
        )

    def stream_closed(self, stream: StreamChannel) -> None:
        """Forgets a stream."""
        streams = self.streams.get(stream.token, set())
        streams.discard(stream)
        if not streams:
            self.streams.pop(stream.token, None)


class Control(Channel):
    """The connection to the supervisor: when it closes, the host stops."""

    def ready(self, events: int) -> None:
        self.loop.stop()
