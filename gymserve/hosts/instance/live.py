"""An instance: what an agent's token stands for, from its creation until it is closed."""

import time
from collections.abc import Sequence
from typing import Any

from gymserve.hosts.instance.graded import Graded
from gymserve.hosts.instance.last_call import LastCall
from gymserve.hosts.instance.rate_limit import Pace
from gymserve.hosts.instance.recorded import Recorded
from gymserve.hosts.instance.time_step import EXHAUSTED, TimeStep
from gymserve.journal import Ended, Episode, Reset, Step, records
from gymserve.journal.snapshots import discard
from gymserve.protocol import errors, wire
from gymserve.protocol.recipe import Recipe

_ANY_RESET = (None, wire.pack(None))  # of a graded instance, where neither seed nor options count


class Instance:
    """One recorded environment, addressed by its token; each of its agent's calls is carried out once.

    Args:
        graded: wraps `recorded` with a plan of trials; None for a plain instance.
    """

    def __init__(self, token: str, recorded: Recorded, graded: Graded | None = None) -> None:
        self.token = token
        self.folder = recorded.folder
        self.recipe = recorded.recipe
        self.journal = recorded.journal
        self.recorded = recorded
        self.graded = graded
        self.play: Recorded | Graded = graded or recorded
        self.last_call = LastCall()
        self.monitoring = False
        self.used = time.monotonic()
        self.counted: tuple[float, ...] = (0, self.journal.size, 0.0, 0.0, 0.0)  # see `hosts/host/report.py`
        self.pace: Pace | None = None

    @property
    def current_recipe(self) -> Recipe:
        """How its present environment was made."""
        return self.recipe.for_trial(self.recorded.episode - 1)

    def reset(self, seed: Any, options: dict[str, Any] | None, call: int | None) -> TimeStep:
        """Starts an episode, or answers again what `call` was answered.

        Raises:
            OutOfSequence, KeyReused: `call` is a `seq` that does not fit.
            EnvironmentFailed: the environment raised an error.
            StorageFull: the journal has no room.
        """
        is_over = self.graded is not None and self.graded.is_over
        request = (seed, wire.pack(options)) if self.graded is None else _ANY_RESET
        if call is not None and not is_over and (same := self._repeated(call, request)):
            return same
        time_step = self.play.reset(seed, options, call)
        if time_step.step_type is EXHAUSTED:
            self.last_call.skip(call)
            return time_step
        return self.last_call.note(call, request, time_step)

    def step(self, action: Any, packed_action: Any, call: int | None, at: float | None = None) -> TimeStep:
        """Acts once, or answers again what `call` was answered; see `Recorded.step`.

        Raises:
            Conflict: there was no reset yet, or the episode is over.
            OutOfSequence, KeyReused: `call` is a `seq` that does not fit.
            EnvironmentFailed: the environment raised an error.
            StorageFull: the journal has no room.
        """
        if call is not None and (same := self._repeated(call, packed_action)):
            return same
        return self.last_call.note(call, packed_action, self.play.step(action, packed_action, call, at))

    def render(self) -> Any:
        """The current state, see `Recorded.render`.

        Raises:
            Conflict: the instance was not made to be rendered, or not reset yet.
        """
        if self.recipe.render_mode is None:
            raise errors.Conflict("create the instance with render_mode 'rgb_array' to render it")
        if self.last_call.time_step is None:
            raise errors.Conflict(self.play.why_not_running())
        return self.recorded.render()

    def close(self, reason: str) -> None:
        """Ends the instance for good; its journal stays."""
        self.end(reason)
        self.unload()

    def end(self, reason: str) -> None:
        """Notes that it is closed; `unload` remains to be done.

        Raises:
            StorageFull: that cannot be noted.
        """
        self.journal.append(records.encode_closed(reason, time.time()))
        discard(self.folder)

    def seal(self) -> None:
        """Leaves the journal whole."""
        self.play.seal()

    def unload(self) -> None:
        """Frees the environment; the instance can be revived from its journal."""
        self.seal()
        self.recorded.free()

    def monitor(self, options: dict[str, Any] | None) -> None:
        """Notes that monitoring was started with `options`, or closed."""
        if options is not None and self.monitoring:
            raise errors.Conflict("this instance is being monitored already: close that monitor first")
        if options is None and not self.monitoring:
            raise errors.Conflict("this instance is not being monitored")
        self.journal.append(records.encode_monitored(options, time.time()))
        self.monitoring = options is not None

    def recall(self, episodes: Sequence[Episode], answer: tuple[Any, ...]) -> None:
        """Takes over what the journal says; `answer` is what its last call answered when it was replayed just now."""
        if (time_step := self.play.recall(episodes, answer)) is not None:
            last = episodes[-1].moves[-1]
            self.last_call.note(last.call, self._request(last), time_step)
        latest_first = (record for episode in reversed(episodes) for record in reversed(episode.records))
        calls = (record.call for record in latest_first if isinstance(record, (Reset, Step, Ended)))
        self.last_call.seq = next((call for call in calls if call is not None and call >= 0), None)

    def _request(self, record: Reset | Step) -> Any:
        """What the agent asked for with a recorded call."""
        if isinstance(record, Step):
            return record.action
        return (record.seed, wire.pack(record.options)) if self.graded is None else _ANY_RESET

    def _repeated(self, call: int, request: Any) -> TimeStep | None:
        """The answer to a repeated call; None if it is the next one."""
        if self.recorded.lost and call == self.last_call.seq:
            raise errors.NotReplayable(self.play.why_not_running())
        return self.last_call.answer(call, request)
