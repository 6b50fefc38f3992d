"""A host: one process, one event loop, in which instances live."""

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
from gymserve.hosts.child_processes import ChildProcesses
from gymserve.hosts.host.channel import Channel
from gymserve.hosts.host.loop import Loop
from gymserve.hosts.host.report import Report
from gymserve.hosts.host.stream import Stream
from gymserve.hosts.host.workers import Listener
from gymserve.hosts.instance import answers, blame, questions, rendering, revival, twin
from gymserve.hosts.instance.live import Instance
from gymserve.hosts.instance.rate_limit import Paces
from gymserve.hosts.instance.time_step import TimeStep
from gymserve.hosts.link import encode
from gymserve.hosts.messages import NoteClosed, NoteLeaving, NoteMaking
from gymserve.hosts.pulse import Pulse, number, watched
from gymserve.hosts.versions import versions
from gymserve.protocol import errors
from gymserve.protocol.recipe import Recipe
from gymserve.settings import Settings
from gymserve.system import randomness

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
        self.loop = Loop(self.log)
        self.instances: dict[str, Instance] = {}
        self.streams: dict[str, set[Stream]] = {}
        self._next_sweep = self.loop.now + SWEEP_SECONDS
        self._report = Report()
        self._reported = self.loop.now
        self.paces = Paces(settings)
        self._home = os.getcwd()
        self.child_processes = ChildProcesses(self.pulse)
        self._looked = self.loop.now
        self._spare: tuple[str, Any] | None = None  # a kind of environment, and one that was made already
        self.supervisor = Control(self.loop, supervisor)
        self.listener = Listener(self, listener)

    # --- the loop -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serves until the supervisor says stop, or is gone."""
        self.loop.run(self._tick)
        self._drain()

    def _tick(self) -> None:
        for streams in list(self.streams.values()):
            for stream in list(streams):
                stream.tick(self.settings.STREAM_PING_SECONDS)
        self._tell()
        self._look()
        self._go_home()
        oldest = self.loop.now - self.settings.IDLE_SECONDS
        for instance in [one for one in self.instances.values() if one.used < oldest]:
            self.close(instance, f"idle for {self.settings.IDLE_SECONDS:g} s")
        for instance in list(self.instances.values()):
            if instance.graded is not None and (reason := instance.graded.expired(self.loop.now, instance.used)):
                self.close(instance, reason)
        if self.loop.now > self._next_sweep:
            self._next_sweep = self.loop.now + SWEEP_SECONDS
            for token in folders.sweep(self.folder, self.settings.IDLE_SECONDS, slot=self.slot, but=self.instances):
                self.supervisor.send(encode(NoteClosed(token)))

    def _tell(self) -> None:
        """Tells the supervisor what was done lately."""
        for instance in self.instances.values():
            if instance.used >= self._reported:
                self._report.add(instance)
        self._reported = self.loop.now
        if message := self._report.message(self.streams):
            self.supervisor.send(encode(message))

    def _drain(self) -> None:
        """Tells the streams, and leaves each journal so that the next start goes on from it."""
        self.listener.close()
        for channel in list(self.loop.channels.values()):
            if isinstance(channel, Stream) and not channel.closed:
                channel.bye(1012, "the server restarts: connect again")
        self._tell()
        for instance in self.instances.values():
            instance.unload()

    def _look(self, *closed: str) -> None:
        """Finds out which instances' environments have started processes lately."""
        if self._spare is None:  # whose processes they may be
            lately = [token for token, one in self.instances.items() if one.used >= self._looked]
            self.child_processes.update({*closed, *self.instances}, {*closed, *lately})
            self._looked = self.loop.now

    # --- instances ------------------------------------------------------------------------------------------------

    def prepare(self, kind: str) -> None:
        """Makes an environment before it is asked for. One that cannot be made is told of when it is.

        One whose constructor draws from the process' own random generators is made again with its seed when that is known.
        """
        try:
            with watched(self.pulse, number(kind)):
                before, env = randomness.state(), self.catalogue.make(Recipe.of_kind(kind))
            if randomness.state() == before:
                self._spare = kind, env
            else:
                close(env)
        except errors.GymserveError as error:
            self.log.info("an environment cannot be prepared: %s", error)

    def create(self, token: str, recipe: Recipe) -> Instance:
        """Makes an instance by a recipe, to which its time and versions are added."""
        if token in self.instances:  # a repeated call
            return self.instances[token]
        folder = self.folder / token
        if folder.exists():
            return self.load(token)
        recipe = recipe.replace(created=time.time(), versions=versions())
        spare, self._spare = self._spare, None
        env = spare[1] if spare is not None and spare[0] == recipe.kind else None
        limit = self.settings.JOURNAL_BYTES
        self._go_home()
        began = time.monotonic()
        with watched(self.pulse, number(token)):
            made = revival.begin(token, folder, recipe, self.catalogue, limit=limit, pulse=self.pulse, env=env)
        if env is None:
            self.supervisor.send(encode(NoteMaking(recipe.kind, time.monotonic() - began)))
        return self._adopt(made)

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
        instance.used = self.loop.now
        return instance

    def step(self, instance: Instance, action: Any, packed: Any, seq: int | None, at: float | None = None) -> TimeStep:
        """Acts once, see `Instance.step`; `at`: when the request was whole, by the monotonic clock, if it was not just now."""
        instance.used = self.loop.now
        if instance.pace is not None:
            instance.pace.take(instance.recipe.num_envs)
        try:
            return instance.step(action, packed, seq, at)
        except errors.StorageFull:
            self._forget(instance)
            raise
        except errors.EnvironmentFailed:
            self._forget(instance)
            if instance.graded is not None:
                blame.note(instance.folder)
            raise

    def step_json(self, instance: Instance, action: Any, call: int | None, at: float | None = None) -> TimeStep:
        """Acts once, with an action as it came in JSON."""
        actions = instance.recorded.actions
        value = actions.from_json(action)
        return self.step(instance, value, actions.pack(value), call, at)

    def reset(self, instance: Instance, seed: Any, options: Any, call: int | None) -> TimeStep:
        """Starts an episode, see `Instance.reset`."""
        options = answers.fitted_options(instance, seed, options)
        instance.used = self.loop.now
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

    def render(self, instance: Instance) -> Any:
        """The current state as the instance's render mode has it: pictures as PNG, of a vector instance a list of them.

        An instance without a render mode is drawn through a twin; of a vector instance only the first copy.

        Raises:
            Conflict: it cannot be drawn, or is not to be: a picture shows what sets a trial apart.
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

    def ask(self, instance: Instance, name: Any, arguments: Any) -> Any:
        """What the environment itself answers to a question of a wrapper's, see `hosts/instance/questions.py`."""
        instance.used = self.loop.now
        with instance.recorded.watched():
            return questions.ask(instance, name, arguments)

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
        self.supervisor.send(encode(NoteClosed(instance.token)))
        self._unload(instance)  # last, since an environment may hang in it

    def _forget(self, instance: Instance) -> None:
        """Drops an instance whose environment may be anywhere; the next call revives it from its journal."""
        self.instances.pop(instance.token, None)
        self._report.add(instance)
        self._unload(instance)

    def _unload(self, instance: Instance) -> None:
        """Closes its environment, and ends the processes that it started; its threads end with the last of its neighbours."""
        instance.unload()
        self._look(instance.token)
        self.child_processes.release(instance.token)
        if not self.instances and self.loop.running and len(os.listdir("/proc/self/task")) > 1:
            self.supervisor.send(encode(NoteLeaving()))
            self.loop.stop()

    def _go_home(self) -> None:
        """Back to where all hosts stand, which an environment may have left; one that has its host to itself may."""
        if self.slot[0] == "s":
            os.chdir(self._home)

    # --- streams --------------------------------------------------------------------------------------------------

    def joined(self, stream: Stream) -> None:
        """A graded instance has one stream: a new one takes over from the one before."""
        instance = self.instances.get(stream.token)
        if instance is not None and instance.graded is not None:
            for other in list(self.streams.get(stream.token, ())):
                other.bye(1008, "another stream has taken over this graded instance")
        self.streams.setdefault(stream.token, set()).add(stream)
        self._report.had_streams = True  # it may be gone before the next message: its place must come back all the same

    def left(self, stream: Stream) -> None:
        streams = self.streams.get(stream.token, set())
        streams.discard(stream)
        if not streams:
            self.streams.pop(stream.token, None)


class Control(Channel):
    """The supervisor's end: when it closes, so does the host."""

    def ready(self, events: int) -> None:
        self.loop.stop()
