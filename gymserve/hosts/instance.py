"""An instance: one live environment (or vector of them), its journal, and the rules of calling it."""

import contextlib
import logging
import secrets
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gymserve import errors, wire
from gymserve.hosts.pace import Pace
from gymserve.hosts.pulse import CALLS, INSTANCE, number
from gymserve.journal import records
from gymserve.journal.file import Journal
from gymserve.journal.replay import get_generators
from gymserve.journal.snapshots import Snapshots, can_tell, discard
from gymserve.spaces import codec, jsonable

CREATED, RUNNING, DONE = "created", "running", "done"
NO_INFO = wire.pack({})


class Move(NamedTuple):
    """What a reset or a step answered. The observation is packed; for a vector instance reward, terminated and
    truncated are arrays of (num_envs,)."""

    call: int | None
    question: Any  # the packed action of a step; (seed, packed options) of a reset
    observation: Any
    reward: Any
    terminated: Any
    truncated: Any
    info: bytes  # msgpack

    @property
    def kind(self) -> int:
        return wire.RESET if self.reward is None else wire.STEP


class Instance:
    """One live environment, addressed by its token.

    Args:
        meta: the first record of its journal: how it was made.
        env: the environment, or vector environment if `meta["num_envs"]` is more than 1.
        pulse: the host's page of memory (see `hosts/pulse.py`).
    """

    def __init__(
        self, token: str, folder: Path, *, meta: dict[str, Any], env: Any, journal: Journal, pulse: memoryview
    ) -> None:
        self.token = token
        self.folder = folder
        self.meta = meta
        self.journal = journal
        self.number = number(token)
        self.pulse = pulse
        self.state = CREATED
        self.lost = ""  # why the last episode could not be revived
        self.last: Move | None = None
        self.last_seq: int | None = None
        self.steps = 0
        self.episode = 0
        self.monitoring = False
        self.used = time.monotonic()
        self.timed = 0  # steps since this process has the instance, and the
        self.seconds = [0.0, 0.0, 0.0]  # time that they spent in the environment, in the journal, and in all
        self.counted: tuple[float, ...] = (0, journal.size, 0.0, 0.0, 0.0)  # see `hosts/report.py`
        self.pace: Pace | None = None
        self.batch = meta["num_envs"] > 1
        self.adopt(env)

    def adopt(self, env: Any) -> None:
        """Goes on with `env`."""
        self.env = env
        self.snapshots = Snapshots(self.folder, env) if not self.batch and can_tell(env) else None
        self.actions = codec(env.action_space)
        self.observations = codec(env.observation_space)

    @property
    def order(self) -> dict[str, Any]:
        """How its present environment was made."""
        return self.meta

    @property
    def progress(self) -> dict[str, Any]:
        """What its description tells beside all else: how far a graded instance is."""
        return {}

    def expired(self, now: float) -> str:
        """Why it is to be closed before it was idle for IDLE_SECONDS; "": it is not."""
        return ""

    def reset(self, seed: Any, options: dict[str, Any] | None, call: int | None) -> Move:
        """Starts an episode.

        The first reset without a seed gets one drawn here, so that every episode can be replayed.

        Raises:
            OutOfSequence, KeyReused: `call` is a `seq` that does not fit.
            EnvironmentFailed: the environment raised an error.
            StorageFull: the journal has no room.
        """
        question = (seed, wire.pack(options))
        if call is not None and (same := self._answered(call, question)):
            return same
        used = seed
        if used is None and self.episode == 0:
            used = self.meta["seed"] if self.meta["seed"] is not None else secrets.randbits(32)
        generators = get_generators(self.env) if used is None else None
        pulse = self.pulse
        pulse[CALLS] += 1
        pulse[INSTANCE] = self.number
        try:
            observation, info = self.env.reset(seed=used, options=options)
            packed, packed_info = self.observations.pack(observation), _packed(info)
        except (Exception, SystemExit) as error:
            raise _failure(error) from error
        finally:
            pulse[INSTANCE] = 0
        record = records.Reset(call, records.digest(packed), time.time(), used, options, generators)
        self.journal.append(records.encode_reset(record))
        self.state, self.lost = RUNNING, ""
        self.episode += 1
        return self._moved(Move(call, question, packed, None, None, None, packed_info))

    def step(self, action: Any, packed_action: Any, call: int | None) -> Move:
        """Acts once; `action` is in the action space, and `packed_action` is the same, packed.

        Raises:
            Conflict: there was no reset yet, or the episode is over.
            OutOfSequence, KeyReused: `call` is a `seq` that does not fit.
            EnvironmentFailed: the environment raised an error.
            StorageFull: the journal has no room.
        """
        if call is not None and (same := self._answered(call, packed_action)):
            return same
        if self.state is not RUNNING:
            raise (errors.NotReplayable if self.lost else errors.Conflict)(self._why_not_running())
        began = time.perf_counter()
        pulse = self.pulse
        pulse[CALLS] += 1
        pulse[INSTANCE] = self.number
        try:
            observation, reward, terminated, truncated, info = self.env.step(action)
            stepped = time.perf_counter()
            packed, packed_info = self.observations.pack(observation), _packed(info) if info else NO_INFO
            if self.batch:
                reward = np.ascontiguousarray(reward, np.float64)
                terminated, truncated = np.asarray(terminated, bool), np.asarray(truncated, bool)
            else:
                reward, terminated, truncated = float(reward), bool(terminated), bool(truncated)
        except (Exception, SystemExit) as error:
            raise _failure(error) from error
        finally:
            pulse[INSTANCE] = 0
        digest = records.digest(packed)
        answered = time.perf_counter()
        if self.batch:
            record = records.encode_batch(call, digest, packed_action, reward, terminated, truncated)
        elif terminated or truncated:
            record = records.encode_step(call, digest, packed_action, reward, terminated, truncated, time.time())
            self.state = DONE
        else:
            record = records.encode_step(call, digest, packed_action, reward, False, False, None)
        self.journal.append(record)
        self.steps += 1
        self.timed += 1
        journaled = time.perf_counter()
        seconds = self.seconds
        seconds[0] += stepped - began
        seconds[1] += journaled - answered
        seconds[2] += journaled - began
        if self.snapshots is not None and self.state is RUNNING:
            self._keep(digest, stepped - began)
        return self._moved(Move(call, packed_action, packed, reward, terminated, truncated, packed_info))

    def age(self) -> float:
        """Seconds since it was made."""
        return time.time() - float(self.meta["created"])

    def render(self) -> np.ndarray:
        """The picture of the current state: (height, width, 3) uint8, of the first copy of a vector instance.

        Raises:
            Conflict: the instance was not made to be rendered, or not reset yet.
        """
        if self.meta["render_mode"] != "rgb_array":
            raise errors.Conflict("create the instance with render_mode 'rgb_array' to render it")
        if self.last is None:
            raise errors.Conflict(self._why_not_running())
        pulse = self.pulse
        pulse[CALLS] += 1
        pulse[INSTANCE] = self.number
        try:
            picture = self.env.render()
            return np.ascontiguousarray(picture[0] if self.batch else picture, np.uint8)
        except (Exception, SystemExit) as error:
            raise _failure(error) from error
        finally:
            pulse[INSTANCE] = 0

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
        """Leaves the journal whole; again: does nothing more."""
        self.journal.close()

    def unload(self) -> None:
        """Frees the environment; the instance can be revived from its journal."""
        self.seal()
        self._free()

    def _free(self) -> None:
        """Closes the environment. One that cannot be closed is forgotten all the same; one that hangs in it is found."""
        pulse = self.pulse
        pulse[CALLS] += 1
        pulse[INSTANCE] = self.number
        with contextlib.suppress(Exception):
            self.env.close()
        pulse[INSTANCE] = 0

    def monitor(self, options: dict[str, Any] | None) -> None:
        """Notes that monitoring was started with `options`, or closed."""
        if options is not None and self.monitoring:
            raise errors.Conflict("this instance is being monitored already: close that monitor first")
        if options is None and not self.monitoring:
            raise errors.Conflict("this instance is not being monitored")
        self.journal.append(records.encode_monitored(options, time.time()))
        self.monitoring = options is not None

    # --- going on after a crash ---------------------------------------------------------------------------------

    def recall(self, moves: list[Any], answer: tuple[Any, ...]) -> None:
        """Takes over what the journal says; `answer` is what its last call answered when it was replayed just now."""
        self.steps = sum(isinstance(move, records.Step) for move in moves)
        self.episode = len(moves) - self.steps
        self.last_seq = next((m.call for m in reversed(moves) if m.call is not None and m.call >= 0), None)
        last = moves[-1]
        if not answer:
            return
        packed, packed_info = self.observations.pack(answer[0]), _packed(answer[-1])
        self.state = RUNNING
        if isinstance(last, records.Reset):
            question = (last.seed, wire.pack(last.options))
            self.last = Move(last.call, question, packed, None, None, None, packed_info)
            return
        if not self.batch and (last.terminated or last.truncated):
            self.state = DONE
        self.last = Move(last.call, last.action, packed, last.reward, last.terminated, last.truncated, packed_info)

    def _keep(self, digest: int, seconds: float) -> None:
        """Lets a snapshot be taken when it is time; an environment that cannot is not asked again."""
        assert self.snapshots is not None
        try:
            self.snapshots.stepped(self.steps + self.episode, digest, seconds)
        except Exception as error:  # whatever an environment raises: the episode can be replayed without
            logging.getLogger(__name__).warning("%s: no snapshots: %s", self.token, error)
            self.snapshots = None

    # --- inside --------------------------------------------------------------------------------------------------

    def _answered(self, call: int, question: Any) -> Move | None:
        """The recorded answer, if `call` was answered already; None, if it is the next one."""
        last = self.last
        if last is not None and last.call == call:
            if call >= 0 and not _same_question(question, last):
                raise errors.KeyReused(f"seq {call} was answered already, for another request")
            return last
        if self.lost and call == self.last_seq:
            raise errors.NotReplayable(self._why_not_running())
        if call >= 0 and self.last_seq is not None and call != self.last_seq + 1:
            raise errors.OutOfSequence(f"seq {call} is out of order: expected {self.last_seq + 1}")
        return None

    def _moved(self, move: Move) -> Move:
        self.last = move
        if move.call is not None and move.call >= 0:
            self.last_seq = move.call
        return move

    def _why_not_running(self) -> str:
        if self.lost:
            return f"{self.lost}; reset the instance to go on"
        if self.state == DONE:
            return "the episode is over: reset the instance"
        return "reset the instance before its first step"


def _packed(info: Any) -> bytes:
    """An environment's `info` as msgpack, whatever it holds."""
    if not info:
        return NO_INFO
    try:
        return wire.pack(info)
    except Exception:  # keys or numbers that msgpack has not
        return wire.pack(jsonable(info))


def _failure(error: BaseException) -> errors.EnvironmentFailed:
    if isinstance(error, errors.InvalidValue):
        return errors.EnvironmentFailed(f"the environment's observation is not in its space: {error}")
    return errors.EnvironmentFailed(f"the environment raised {type(error).__name__}: {error}")


def _same_question(question: Any, last: Move) -> bool:
    """Whether a repeated call asks the same; a seed that was drawn here stands for none."""
    if last.kind == wire.RESET and isinstance(question, tuple):
        seed, options = question
        return options == last.question[1] and seed in (None, last.question[0])
    return bool(question == last.question)
