"""A graded instance: its resets go through a plan of trials, each on a fresh environment with its secret seed.

created ──reset──▶ trial 1 ──reset──▶ trial 2 … trial n ──reset──▶ over: reset answers no observation, a step is refused
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

from gymserve import errors, wire
from gymserve.hosts.allowance import Allowance
from gymserve.hosts.instance import DONE, NO_INFO, RUNNING, Instance, Move
from gymserve.hosts.pulse import CALLS, INSTANCE
from gymserve.hosts.trials import Secrets, order
from gymserve.journal import records

BROKEN = "broken"
LATE = "late: the agent took too long over a step"
FAILED = "failed: the reward is not finite"
_ASKED = (None, wire.pack(None))  # what a reset asks: nothing that counts
_FAILED_INFO = "the reward is not finite: the trial has failed"


class Graded(Instance):
    """An instance whose journal's first record holds `trials`.

    Args:
        make: makes the environment of an order (see `trials.order`).
        ended: the records of trials that ended otherwise than by a step, when it is revived.
    """

    def __init__(
        self, *args: Any, make: Callable[[dict[str, Any]], Any], ended: Sequence[records.Ended] = (), **named: Any
    ) -> None:
        super().__init__(*args, **named)
        self.make = make
        self.plan = self.meta["trials"]
        self._ended = {each.trial: each for each in ended if not each.reason.startswith(BROKEN)}
        self._broken = {each.trial for each in ended if each.reason.startswith(BROKEN)}
        self._untouched = True  # the environment was made for the next trial, and not reset yet
        self._before = 0  # steps in the trials before this one
        self._secrets: Secrets | None = None
        self._allowance = Allowance(self.meta.get("allowance") or {}, age=self.age())

    @property
    def order(self) -> dict[str, Any]:
        return order(self.meta, self.episode - 1)

    @property
    def progress(self) -> dict[str, Any]:
        """The trial is `trial` of `trials`; 0 before the first one."""
        steps = self.steps - self._before
        return {"trial": self.episode, "trials": len(self.plan), "trial_steps": steps, "trials_over": self.over}

    @property
    def over(self) -> bool:
        """Whether the last trial has ended."""
        return self.state is DONE and self.episode == len(self.plan)

    def expired(self, now: float) -> str:
        if now > self._allowance.deadline:
            return "its time is up"
        if now - self.used > self._allowance.idle_seconds:
            return f"idle for {self._allowance.idle_seconds:g} s"
        return ""

    def reset(self, seed: Any, options: Any, call: int | None) -> Move:
        """Starts the next trial, whatever seed and options are asked for; ends the one under way as it stands.

        After the last trial the move has no observation, and nothing changes any more.

        Raises:
            OutOfSequence, KeyReused: `call` is a `seq` that does not fit.
            EnvironmentFailed: the environment could not be made, or raised an error. The trial before goes on.
            StorageFull: the journal has no room.
        """
        if self.over:
            return self._nothing(call)
        if call is not None and (same := self._answered(call, _ASKED)):
            return same
        last = self.episode == len(self.plan)
        if self.lost and self.state is not DONE:
            self._end(f"lost: {self.lost}", call if last else None)
        elif last:
            self._end("reset", call)
        if last:
            return self._nothing(call)
        trial = self.plan[self.episode]
        cut = self.state is RUNNING
        try:
            self._renew()
            self._untouched = False
            move = Instance.reset(self, trial["seed"], trial["options"], call)
        except errors.EnvironmentFailed as error:
            self._note_broken(error)
            raise _redacted(error) from None
        self._before = self.steps
        self._secrets = Secrets(trial)
        if cut:
            self._sync()
        self.last = move._replace(question=_ASKED, info=self._secrets.filtered(move.info))
        self._allowance.answered()
        return self.last

    def step(self, action: Any, packed_action: Any, call: int | None) -> Move:
        """As of a plain instance; a reward that is not finite ends the trial, and so does an agent that takes too long."""
        last = self.last
        allowance = self._allowance
        if (
            allowance.counts
            and self.state is RUNNING
            and (call is None or last is None or call != last.call)
            and allowance.is_late()
        ):
            self._end(LATE, None)
        try:
            move = Instance.step(self, action, packed_action, call)
        except errors.EnvironmentFailed as error:
            raise _redacted(error) from None
        if move is last:
            return move
        if move.info is not NO_INFO and self._secrets is not None:
            info = self._secrets.filtered(move.info)
            if info is not move.info:
                self.last = move = move._replace(info=info)
        if not isfinite(move.reward):
            self.last = move = _as_failed(move)
            self._end(FAILED, None)
        elif self.state is DONE:
            self._sync()
        if allowance.counts:
            allowance.answered()
        return move

    def seal(self) -> None:
        with contextlib.suppress(OSError):
            self.journal.sync()
        super().seal()

    # --- going on after a crash ---------------------------------------------------------------------------------

    def recall(self, moves: list[Any], answer: tuple[Any, ...]) -> None:
        super().recall(moves, answer)
        self._untouched = False
        trial = self.plan[self.episode - 1]
        self._secrets = Secrets(trial)
        start = max(index for index, move in enumerate(moves) if isinstance(move, records.Reset))
        self._before = self.steps - (len(moves) - 1 - start)
        last = moves[-1]
        if self.last is not None:
            self.last = self.last._replace(info=self._secrets.filtered(self.last.info))
        if isinstance(last, records.Reset):
            if self.last is not None:
                self.last = self.last._replace(question=_ASKED)
        elif not isfinite(last.reward):
            self.state = DONE
            if self.last is not None:
                self.last = _as_failed(self.last)
        elif last.terminated or last.truncated:
            self.state = DONE
        ended = self._ended.get(self.episode)
        if ended is not None:
            self.state = DONE
            if ended.call is not None and ended.call >= 0:
                self.last_seq = ended.call

    # --- inside --------------------------------------------------------------------------------------------------

    def _renew(self) -> None:
        """A fresh environment for the next trial."""
        if self._untouched:
            return
        self._free()
        pulse = self.pulse
        pulse[CALLS] += 1
        pulse[INSTANCE] = self.number
        try:
            self.adopt(self.make(order(self.meta, self.episode)))
        finally:
            pulse[INSTANCE] = 0

    def _end(self, reason: str, call: int | None) -> None:
        """Notes that the trial under way is over."""
        if self.episode not in self._ended:
            ended = records.Ended(self.episode, reason, call, time.time())
            self.journal.append(records.encode_ended(*ended))
            self._ended[self.episode] = ended
            self._sync()
        self.state = DONE

    def _nothing(self, call: int | None) -> Move:
        """What a reset after the last trial answers."""
        if call is not None and self.last_seq is not None and call == self.last_seq + 1:
            self.last_seq = call
        return Move(call, _ASKED, None, None, None, None, NO_INFO)

    def _note_broken(self, error: errors.EnvironmentFailed) -> None:
        """Notes that the next trial could not begin, which is no fault of the agent's; it may ask again."""
        trial = self.episode + 1
        if trial not in self._broken:
            self._broken.add(trial)
            reason = f"{BROKEN}: its environment raised {_cause(error)}"
            self.journal.append(records.encode_ended(trial, reason, None, time.time()))

    def _sync(self) -> None:
        try:
            self.journal.sync()
        except OSError as error:
            raise errors.StorageFull(f"the journal cannot be synced: {error.strerror}") from error

    def _why_not_running(self) -> str:
        if self.over:
            return f"the {len(self.plan)} trials are over"
        if self.lost and self.state is not DONE:
            return f"{self.lost}; reset the instance to go on with the next trial"
        if self.state is DONE and (ended := self._ended.get(self.episode)) is not None and ended.reason == LATE:
            return "the trial is over, because a step took too long: reset the instance"
        return "the trial is over: reset the instance" if self.state is DONE else super()._why_not_running()


def _as_failed(move: Move) -> Move:
    info = wire.pack({**wire.unpack(move.info), "trial_failed": _FAILED_INFO})
    return move._replace(truncated=True, info=info)


def _redacted(error: errors.EnvironmentFailed) -> errors.EnvironmentFailed:
    """The same without the environment's own words, which may tell the seed or the options."""
    return type(error)(f"the environment raised {_cause(error)}; the trial is as it was before this call")


def _cause(error: errors.EnvironmentFailed) -> str:
    return "an error" if error.__cause__ is None else type(error.__cause__).__name__
