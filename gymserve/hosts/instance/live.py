"""A live instance, from its creation until it is closed."""

import time
from collections.abc import Sequence
from typing import Any

from gymserve.hosts.instance.graded import GradedEnvironment
from gymserve.hosts.instance.last_call import LastCall
from gymserve.hosts.instance.rate_limit import RateLimit
from gymserve.hosts.instance.recorded import RecordedEnvironment
from gymserve.hosts.instance.time_step import EXHAUSTED, TimeStep
from gymserve.journal import Ended, Episode, Reset, Step, records
from gymserve.journal.snapshots import discard
from gymserve.protocol import errors, wire
from gymserve.protocol.recipe import Recipe

_ANY_RESET = (None, wire.pack(None))  # every reset of a graded instance, which ignores seed and options


class LiveInstance:
    """A recorded environment with a token. Each call of its agent is carried out once.

    Args:
        graded: wraps `recorded` with a plan of trials; None for a plain instance.

    Attributes:
        environment: `graded`, or `recorded` for a plain instance.
        used: the monotonic time of the last call.
    """

    def __init__(self, token: str, recorded: RecordedEnvironment, graded: GradedEnvironment | None = None) -> None:
        self.token = token
        self.folder = recorded.folder
        self.recipe = recorded.recipe
        self.journal = recorded.journal
        self.recorded = recorded
        self.graded = graded
        self.environment: RecordedEnvironment | GradedEnvironment = graded or recorded
        self.last_call = LastCall()
        self.monitoring = False
        self.used = time.monotonic()
        self.counted: dict[str, int] = {"journal_bytes": self.journal.size}  # see `hosts/host/report.py`
        self.rate_limit: RateLimit | None = None

    @property
    def current_recipe(self) -> Recipe:
        """The recipe of the current environment: the trial's for a graded instance."""
        return self.recipe.for_trial(self.recorded.episode - 1)

    def reset(self, seed: Any, options: dict[str, object] | None, call: int | None) -> TimeStep:
        """Starts an episode, or returns the stored answer to a repeated `call`.

        Raises:
            OutOfSequence, KeyReused: `call` is a `seq` that does not fit.
            EnvironmentFailed: the environment raised an error.
            StorageFull: the journal has no room.
        """
        is_over = self.graded is not None and self.graded.is_over
        request = (seed, wire.pack(options)) if self.graded is None else _ANY_RESET
        if call is not None and not is_over and (answer := self._answer_repeated(call, request)):
            return answer
        time_step = self.environment.reset(seed, options, call)
        if time_step.step_type is EXHAUSTED:
            self.last_call.skip(call)
            return time_step
        return self.last_call.note(call, request, time_step)

    def step(self, action: Any, packed_action: Any, call: int | None, at: float | None = None) -> TimeStep:
        """Acts once, or returns the stored answer to a repeated `call`; see `RecordedEnvironment.step`.

        Raises:
            Conflict: there was no reset yet, or the episode is over.
            OutOfSequence, KeyReused: `call` is a `seq` that does not fit.
            EnvironmentFailed: the environment raised an error.
            StorageFull: the journal has no room.
        """
        if call is not None and (answer := self._answer_repeated(call, packed_action)):
            return answer
        return self.last_call.note(call, packed_action, self.environment.step(action, packed_action, call, at))

    def render(self) -> Any:
        """Renders the current state, see `RecordedEnvironment.render`.

        Raises:
            Conflict: the instance was not made to be rendered, or not reset yet.
        """
        if self.recipe.render_mode is None:
            raise errors.Conflict("create the instance with render_mode 'rgb_array' to render it")
        if self.last_call.time_step is None:
            raise errors.Conflict(self.environment.why_not_running())
        return self.recorded.render()

    def close(self, reason: str) -> None:
        """Ends the instance for good; its journal stays."""
        self.end(reason)
        self.unload()

    def end(self, reason: str) -> None:
        """Records that the instance is closed; `unload` must follow.

        Raises:
            StorageFull: the journal has no room.
        """
        self.journal.append(records.encode_closed(reason, time.time()))
        discard(self.folder)

    def seal(self) -> None:
        """Closes the journal."""
        self.environment.seal()

    def unload(self) -> None:
        """Closes the journal and the environment; the instance can be revived from its journal."""
        self.seal()
        self.recorded.free()

    def monitor(self, options: dict[str, object] | None) -> None:
        """Records that monitoring was started with `options`, or closed (None).

        Raises:
            Conflict: it was started or closed already.
        """
        if options is not None and self.monitoring:
            raise errors.Conflict("this instance is being monitored already: close that monitor first")
        if options is None and not self.monitoring:
            raise errors.Conflict("this instance is not being monitored")
        self.journal.append(records.encode_monitored(options, time.time()))
        self.monitoring = options is not None

    def restore(self, episodes: Sequence[Episode], answer: tuple[Any, ...]) -> None:
        """Restores the state from the journal; `answer` is the replayed answer of the last call, or () if it did not replay."""
        if (time_step := self.environment.restore(episodes, answer)) is not None:
            last = episodes[-1].moves[-1]
            self.last_call.note(last.call, self._request(last), time_step)
        latest_first = (record for episode in reversed(episodes) for record in reversed(episode.records))
        calls = (record.call for record in latest_first if isinstance(record, (Reset, Step, Ended)))
        self.last_call.seq = next((call for call in calls if call is not None and call >= 0), None)

    def _request(self, record: Reset | Step) -> object:
        """The request of a recorded call, in the form of `LastCall.request`."""
        if isinstance(record, Step):
            return record.action
        return (record.seed, wire.pack(record.options)) if self.graded is None else _ANY_RESET

    def _answer_repeated(self, call: int, request: object) -> TimeStep | None:
        """Returns the answer to a repeated call, or None if the call is the next one."""
        if self.recorded.lost and call == self.last_call.seq:
            raise errors.NotReplayable(self.environment.why_not_running())
        return self.last_call.answer(call, request)
