"""A graded instance: its resets go through a plan of trials, each on a fresh environment with its secret seed.

created ──reset──▶ trial 1 ──reset──▶ trial 2 … trial n ──reset──▶ over: reset answers no observation, a step is refused
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

from gymserve.environments.foreign import one_line
from gymserve.hosts.instance.allowance import Allowance
from gymserve.hosts.instance.recorded import DONE, RUNNING, Recorded
from gymserve.hosts.instance.time_step import LAST, NO_INFO, TimeStep, ending, exhausted
from gymserve.hosts.instance.trials import Secrets
from gymserve.journal import Episode, records
from gymserve.protocol import errors, wire
from gymserve.protocol.recipe import Recipe

LATE = "late: the agent took too long over a step"
FAILED = f"{records.FAILED}: the reward is not finite"
_FAILED_INFO = "the reward is not finite: the trial has failed"


class Graded:
    """Wraps a recorded environment whose recipe has trials, with the same methods.

    Args:
        make: makes the environment of a recipe.
        kept: the records of its journal, when it is revived.
        blamed: when a call of its agent ended its environment; None: none did.
    """

    def __init__(
        self,
        recorded: Recorded,
        *,
        make: Callable[[Recipe], Any],
        kept: Sequence[records.Record] = (),
        blamed: float | None = None,
    ) -> None:
        ended = [record for record in kept if isinstance(record, records.Ended)]
        spent = [record.left for record in kept if isinstance(record, records.Spent)]
        recipe = recorded.recipe
        self.recorded = recorded
        self.make = make
        self.plan = recipe.trials
        self._ended = {each.trial: each for each in ended if each.kind != records.BROKEN}
        self._broken = {each.trial for each in ended if each.kind == records.BROKEN}
        self._untouched = True  # the environment was made for the next trial, and not reset yet
        self._before = 0  # steps in the trials before this one
        self._secrets: Secrets | None = None
        self._blamed = blamed
        self._allowance = Allowance(
            recipe.allowance, age=recipe.age(), bank=spent[-1] if spent else None, answered=blamed
        )

    @property
    def progress(self) -> dict[str, Any]:
        """The trial is `trial` of `trials`; 0 before the first one."""
        trial, steps = self.recorded.episode, self.recorded.steps - self._before
        return {"trial": trial, "trials": len(self.plan), "trial_steps": steps, "trials_over": self.is_over}

    @property
    def has_variants(self) -> bool:
        """Whether its trials have options or arguments of their own, which are secret."""
        return any(trial.options or trial.kwargs for trial in self.plan)

    @property
    def is_over(self) -> bool:
        """Whether the last trial has ended."""
        return self.recorded.state is DONE and self.recorded.episode == len(self.plan)

    def expired(self, now: float, used: float) -> str:
        """Why it is to be closed though it was `used` within IDLE_SECONDS; "" if it is not."""
        if now > self._allowance.deadline:
            return "its time is up"
        if now - used > self._allowance.idle_seconds:
            return f"idle for {self._allowance.idle_seconds:g} s"
        return ""

    def reset(self, seed: Any, options: Any, call: int | None) -> TimeStep:
        """Starts the next trial, whatever seed and options are asked for; ends the one under way as it stands.

        After the last trial the answer has no observation, and nothing changes any more.

        Raises:
            EnvironmentFailed: the environment could not be made, or raised an error. The trial before goes on.
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
            self._renew()
            self._untouched = False
            time_step = recorded.reset(trial.seed, trial.options, call)
        except errors.EnvironmentFailed as error:
            self._note_broken(error)
            raise _redacted(error) from None
        self._before = recorded.steps
        self._secrets = Secrets(trial)
        if cut:
            self._sync()
        self._allowance.answered()
        return time_step.replace_info(self._secrets.filtered(time_step.info))

    def step(self, action: Any, packed_action: Any, call: int | None, at: float | None = None) -> TimeStep:
        """As of a plain instance; a reward that is not finite ends the trial, and so does an agent that takes too long.

        Args:
            at: when the request was whole, by the monotonic clock; None: just now.
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
            info = self._secrets.filtered(time_step.info)
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
        """Leaves the journal whole, and on the disk."""
        with contextlib.suppress(OSError):
            self.recorded.journal.sync()
        self.recorded.seal()

    def recall(self, episodes: Sequence[Episode], answer: tuple[Any, ...]) -> TimeStep | None:
        """Takes over what the journal says, see `Recorded.recall`."""
        recorded = self.recorded
        time_step = recorded.recall(episodes, answer)
        self._untouched = False
        episode, number = episodes[-1], recorded.episode
        self._secrets = Secrets(self.plan[number - 1])
        self._before = recorded.steps - len(episode.steps)
        has_failed = bool(episode.steps) and not isfinite(episode.steps[-1].reward)
        if time_step is not None:
            time_step = time_step.replace_info(self._secrets.filtered(time_step.info))
            time_step = _as_failed(time_step) if has_failed else time_step
        if has_failed or episode.is_over or number in self._ended:
            recorded.state = DONE
        if (
            recorded.lost and recorded.state is not DONE
        ):  # now: its agent need not reset it, and may close it or be gone
            kind = records.LOST if self._blamed is None else records.CRASHED
            self._end(f"{kind}: {recorded.lost}", None)
        return time_step

    def why_not_running(self) -> str:
        """Why a step is refused."""
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

    def _renew(self) -> None:
        """A fresh environment for the next trial."""
        if self._untouched:
            return
        self.recorded.free()
        with self.recorded.watched():
            self.recorded.adopt(self.make(self.recorded.recipe.for_trial(self.recorded.episode)))

    def _end(self, reason: str, call: int | None) -> None:
        """Notes that the trial under way is over, unless that was noted."""
        trial = self.recorded.episode
        if trial not in self._ended:
            ended = records.Ended(trial, reason, call, time.time())
            self.recorded.journal.append(records.encode_ended(*ended))
            self._ended[trial] = ended
            self._sync()
        self.recorded.state = DONE

    def _note_broken(self, error: errors.EnvironmentFailed) -> None:
        """Notes that the next trial could not begin, which is no fault of the agent's; it may ask again."""
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
    """The same without the environment's own words, which may tell the seed or the options."""
    return type(error)(f"the environment raised {_cause(error)}; the trial is as it was before this call")


def _cause(error: errors.EnvironmentFailed) -> str:
    return "an error" if error.__cause__ is None else one_line(type(error.__cause__).__name__)
