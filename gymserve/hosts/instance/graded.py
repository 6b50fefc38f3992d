"""A graded instance: its resets go through a plan of trials, each on a fresh environment with its secret seed.

created ──reset──▶ trial 1 ──reset──▶ trial 2 … trial n ──reset──▶ over: resets return no observation, steps are refused
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

from gymserve.environments.foreign import one_line
from gymserve.hosts.instance.allowance import Allowance
from gymserve.hosts.instance.recorded import DONE, RUNNING, RecordedEnvironment
from gymserve.hosts.instance.time_step import LAST, NO_INFO, TimeStep, ending, exhausted
from gymserve.hosts.instance.trials import Secrets
from gymserve.journal import Episode, records
from gymserve.protocol import errors, wire
from gymserve.protocol.recipe import Recipe

LATE = "late: the agent took too long over a step"
FAILED = f"{records.FAILED}: the reward is not finite"
_FAILED_INFO = "the reward is not finite: the trial has failed"


class GradedEnvironment:
    """Wraps a recorded environment whose recipe has trials, with the same methods.

    Args:
        make: makes the environment of a recipe.
        history: the records of the journal, for an instance that is revived.
        blamed: the monotonic time when a call of the agent ended the environment, or None if none did.
    """

    def __init__(
        self,
        recorded: RecordedEnvironment,
        *,
        make: Callable[[Recipe], Any],
        history: Sequence[records.Record] = (),
        blamed: float | None = None,
    ) -> None:
        ended = [record for record in history if isinstance(record, records.Ended)]
        spent = [record.left for record in history if isinstance(record, records.Spent)]
        recipe = recorded.recipe
        self.recorded = recorded
        self.make = make
        self.plan = recipe.trials
        self._ended = {each.trial: each for each in ended if each.kind != records.BROKEN}
        self._broken = {each.trial for each in ended if each.kind == records.BROKEN}
        self._is_fresh = True  # whether the environment was made for the next trial and not reset yet
        self._steps_before = 0  # in the trials before the current one
        self._secrets: Secrets | None = None
        self._blamed = blamed
        self._allowance = Allowance(
            recipe.allowance, age=recipe.age(), bank=spent[-1] if spent else None, answered=blamed
        )

    @property
    def progress(self) -> dict[str, Any]:
        """The current trial (0 before the first reset), the number of trials, and the steps in the current one."""
        trial, steps = self.recorded.episode, self.recorded.steps - self._steps_before
        return {"trial": trial, "trials": len(self.plan), "trial_steps": steps, "trials_over": self.is_over}

    @property
    def has_variants(self) -> bool:
        """Whether trials have their own options or kwargs, which are secret."""
        return any(trial.options or trial.kwargs for trial in self.plan)

    @property
    def is_over(self) -> bool:
        """Whether the last trial has ended."""
        return self.recorded.state is DONE and self.recorded.episode == len(self.plan)

    def expired(self, now: float, used: float) -> str:
        """The reason to close an instance that was last `used` then, or "" if its allowance lets it live on."""
        if now > self._allowance.deadline:
            return "its time is up"
        if now - used > self._allowance.idle_seconds:
            return f"idle for {self._allowance.idle_seconds:g} s"
        return ""

    def reset(self, seed: Any, options: Any, call: int | None) -> TimeStep:
        """Ends the current trial and starts the next one. The plan's seed and options replace the requested ones.

        After the last trial the answer has no observation, and nothing changes.

        Raises:
            EnvironmentFailed: the environment could not be made, or raised an error. The current trial goes on.
            StorageFull: the journal has no room.
        """
        recorded = self.recorded
        if self.is_over:
            return exhausted()
        if recorded.episode == len(self.plan):
            self._end("reset", call)
            return exhausted()
        trial = self.plan[recorded.episode]
        cut = recorded.state is RUNNING
        try:
            self._adopt_fresh_environment()
            self._is_fresh = False
            time_step = recorded.reset(trial.seed, trial.options, call)
        except errors.EnvironmentFailed as error:
            self._note_broken(error)
            raise _redacted(error) from None
        self._steps_before = recorded.steps
        self._secrets = Secrets(trial)
        if cut:
            self._sync()
        self._allowance.answered()
        return time_step.replace_info(self._secrets.redact(time_step.info))

    def step(self, action: Any, packed_action: Any, call: int | None, at: float | None = None) -> TimeStep:
        """Acts once, like a plain instance. A reward that is not finite and an agent that is too slow end the trial.

        Args:
            at: the monotonic time when the request had arrived completely; None means now.
        """
        recorded, allowance = self.recorded, self._allowance
        if allowance.counts and recorded.state is RUNNING and allowance.overdraws(at):
            recorded.journal.append(records.encode_spent(allowance.bank, time.time()))
            if allowance.bank < 0:
                self._end(LATE, None)
        if recorded.state is not RUNNING:
            raise (errors.NotReplayable if recorded.lost else errors.Conflict)(self.why_not_running())
        try:
            time_step = recorded.step(action, packed_action, call)
        except errors.EnvironmentFailed as error:
            raise _redacted(error) from None
        if time_step.info is not NO_INFO and self._secrets is not None:
            info = self._secrets.redact(time_step.info)
            if info is not time_step.info:
                time_step = time_step.replace_info(info)
        if not isfinite(time_step.reward):
            time_step = _as_failed(time_step)
            self._end(FAILED, None)
        elif time_step.step_type is LAST:
            self._sync()
        if allowance.counts:
            allowance.answered()
        return time_step

    def seal(self) -> None:
        """Syncs the journal to the disk and closes it."""
        with contextlib.suppress(OSError):
            self.recorded.journal.sync()
        self.recorded.seal()

    def restore(self, episodes: Sequence[Episode], answer: tuple[Any, ...]) -> TimeStep | None:
        """Restores the state from the journal, see `RecordedEnvironment.restore`."""
        recorded = self.recorded
        time_step = recorded.restore(episodes, answer)
        self._is_fresh = False
        episode, number = episodes[-1], recorded.episode
        self._secrets = Secrets(self.plan[number - 1])
        self._steps_before = recorded.steps - len(episode.steps)
        has_failed = bool(episode.steps) and not isfinite(episode.steps[-1].reward)
        if time_step is not None:
            time_step = time_step.replace_info(self._secrets.redact(time_step.info))
            time_step = _as_failed(time_step) if has_failed else time_step
        if has_failed or episode.is_over or number in self._ended:
            recorded.state = DONE
        if recorded.lost and recorded.state is not DONE:
            # The trial ends now and not at the next reset, because the agent may close the instance or be gone.
            kind = records.LOST if self._blamed is None else records.CRASHED
            self._end(f"{kind}: {recorded.lost}", None)
        return time_step

    def why_not_running(self) -> str:
        """The reason why a step is refused."""
        recorded = self.recorded
        if self.is_over:
            return f"the {len(self.plan)} trials are over"
        if recorded.lost:
            return f"{recorded.lost}; reset the instance to go on with the next trial"
        if recorded.state is not DONE:
            return recorded.why_not_running()
        ended = self._ended.get(recorded.episode)
        if ended is not None and ended.reason == LATE:
            return "the trial is over, because a step took too long: reset the instance"
        return "the trial is over: reset the instance"

    def _adopt_fresh_environment(self) -> None:
        """Makes a fresh environment for the next trial, unless the present one is fresh."""
        if self._is_fresh:
            return
        self.recorded.free()
        with self.recorded.watched():
            self.recorded.use_environment(self.make(self.recorded.recipe.for_trial(self.recorded.episode)))

    def _end(self, reason: str, call: int | None) -> None:
        """Records the end of the current trial, unless it was recorded before."""
        trial = self.recorded.episode
        if trial not in self._ended:
            ended = records.Ended(trial, reason, call, time.time())
            self.recorded.journal.append(records.encode_ended(*ended))
            self._ended[trial] = ended
            self._sync()
        self.recorded.state = DONE

    def _note_broken(self, error: errors.EnvironmentFailed) -> None:
        """Records that the next trial could not begin. The agent is not at fault and may reset again."""
        trial = self.recorded.episode + 1
        if trial not in self._broken:
            self._broken.add(trial)
            reason = f"{records.BROKEN}: its environment raised {_cause(error)}"
            self.recorded.journal.append(records.encode_ended(trial, reason, None, time.time()))

    def _sync(self) -> None:
        try:
            self.recorded.journal.sync()
        except OSError as error:
            raise errors.StorageFull(f"the journal cannot be synced: {error.strerror}") from error


def _as_failed(time_step: TimeStep) -> TimeStep:
    info = wire.pack_info({**wire.unpack(time_step.info), "trial_failed": _FAILED_INFO})
    return ending(time_step.observation, time_step.reward, info, terminated=time_step.terminated, truncated=True)


def _redacted(error: errors.EnvironmentFailed) -> errors.EnvironmentFailed:
    """The same error without the environment's own message, which may contain the seed or the options."""
    return type(error)(f"the environment raised {_cause(error)}; the trial is as it was before this call")


def _cause(error: errors.EnvironmentFailed) -> str:
    return "an error" if error.__cause__ is None else one_line(type(error.__cause__).__name__)
