"""A recorded environment: each reset and step is in the journal before its answer is sent."""

import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter_ns as clock
from typing import Any

import numpy as np

from gymserve.environments.foreign import check_reset, close, failure
from gymserve.hosts.instance.rendering import render_other, render_pictures
from gymserve.hosts.instance.step_times import StepTimes
from gymserve.hosts.instance.time_step import (
    LAST,
    NO_INFO,
    TimeStep,
    ending,
    of_record,
    pack_info,
    restart,
    transition,
    vector_transition,
)
from gymserve.hosts.pulse import CALLS, INSTANCE, number, watched
from gymserve.journal import Episode, Journal, records, replay
from gymserve.journal.snapshots import Snapshot, Snapshots, latest_snapshot, supports_snapshots
from gymserve.protocol import errors
from gymserve.protocol.recipe import Recipe
from gymserve.protocol.spaces import codec

CREATED, RUNNING, DONE = "created", "running", "done"


class RecordedEnvironment:
    """An instance's environment and its state: the current episode, the number of steps, and the journal.

    Args:
        folder: the instance's folder.
        env: the environment, which is a vector environment if the recipe says so.
        pulse: the host's page of memory (see `hosts/pulse.py`).

    Attributes:
        lost: why the last episode could not be revived, or "".
        finished: the copies that wait for a reset, if autoreset is disabled.
        step_times: the times of the steps since this process loaded the instance.
    """

    def __init__(
        self, token: str, folder: Path, *, recipe: Recipe, env: Any, journal: Journal, pulse: memoryview
    ) -> None:
        self.folder = folder
        self.recipe = recipe
        self.journal = journal
        self.pulse = pulse
        self.number = number(token)
        self.state = CREATED
        self.lost = ""
        self.steps = 0
        self.episode = 0
        self.step_times = StepTimes()
        self.batch = recipe.is_vector
        self.finished = np.zeros(recipe.num_envs, bool) if recipe.autoreset_mode == "Disabled" else None
        self.use_environment(env)

    def use_environment(self, env: Any) -> None:
        """Replaces the environment by `env`."""
        self.env = env
        is_plain = not self.batch and not self.recipe.wrappers  # snapshots hold no state of wrappers
        self.snapshots = Snapshots(self.folder, env) if is_plain and supports_snapshots(env) else None
        self.actions = codec(env.action_space)
        self.observations = codec(env.observation_space)

    def reset(self, seed: Any, options: dict[str, object] | None, call: int | None) -> TimeStep:
        """Starts an episode.

        A first reset without a seed gets a random one, so that every episode can be replayed.

        Raises:
            EnvironmentFailed: the environment raised an error.
            StorageFull: the journal has no room.
        """
        if seed is None and self.episode == 0:
            seed = self.recipe.seed if self.recipe.seed is not None else secrets.randbits(32)
        global_seed = self.recipe.reset_seed(seed, self.episode)
        generators = replay.get_generators(self.env) if seed is None else None
        pulse = self.pulse
        pulse[CALLS] += 1
        pulse[INSTANCE] = self.number
        try:
            answer = replay.reset(self.env, seed, options, global_seed)
            check_reset(answer)
            observation, info = answer
            packed, packed_info = self.observations.pack(observation), pack_info(info)
        except BaseException as error:  # raised by the environment; hosts ignore SIGINT
            raise failure(error) from error
        finally:
            pulse[INSTANCE] = 0
        record = records.Reset(call, records.digest(packed), time.time(), seed, options, generators, global_seed)
        self.journal.append(records.encode_reset(record))
        self.state, self.lost = RUNNING, ""
        self.episode += 1
        if self.finished is not None:
            self._note_finished(options, None)
        return restart(packed, packed_info)

    def step(self, action: Any, packed_action: Any, call: int | None, at: float | None = None) -> TimeStep:
        """Acts once. `action` is in the action space; `packed_action` is its packed form; only `GradedEnvironment` uses `at`.

        Raises:
            Conflict: there was no reset yet, or the episode is over.
            EnvironmentFailed: the environment raised an error.
            StorageFull: the journal has no room.
        """
        if self.state is not RUNNING:
            raise (errors.NotReplayable if self.lost else errors.Conflict)(self.why_not_running())
        began = clock()
        pulse = self.pulse
        pulse[CALLS] += 1
        pulse[INSTANCE] = self.number
        try:
            observation, reward, terminated, truncated, info = self.env.step(action)
            stepped = clock()
            packed, packed_info = self.observations.pack(observation), pack_info(info) if info else NO_INFO
            if self.batch:
                reward = np.array(reward, np.float64)  # a copy, because some environments reuse their arrays
                terminated, truncated = np.array(terminated, bool), np.array(truncated, bool)
            else:
                reward, terminated, truncated = float(reward), bool(terminated), bool(truncated)
        except BaseException as error:  # raised by the environment; hosts ignore SIGINT
            raise failure(error) from error
        finally:
            pulse[INSTANCE] = 0
        digest = records.digest(packed)
        answered = clock()
        if self.batch:
            record = records.encode_batch(call, digest, packed_action, reward, terminated, truncated)
            time_step = vector_transition(packed, reward, terminated, truncated, packed_info)
        elif terminated or truncated:
            record = records.encode_step(call, digest, packed_action, reward, terminated, truncated, time.time())
            time_step = ending(packed, reward, packed_info, terminated=terminated, truncated=truncated)
            self.state = DONE
        else:
            record = records.encode_step(call, digest, packed_action, reward, False, False, None)
            time_step = transition(packed, reward, packed_info)
        self.journal.append(record)
        self.steps += 1
        if self.finished is not None:
            self._note_finished(None, terminated | truncated)
        now = clock()
        self.step_times.add(stepped - began, now - answered, now - began)
        if self.snapshots is not None and self.state is RUNNING:
            self._take_snapshot(digest, (stepped - began) / 1e9)
        return time_step

    def render(self) -> Any:
        """Renders the current state. A picture is (height, width, 3) uint8; a vector instance has one for each copy.

        Raises:
            EnvironmentFailed: the environment raised an error, or did not render a picture.
        """
        with self.watched():
            if self.recipe.render_mode != "rgb_array":
                return render_other(self.env)
            return render_pictures(self.env, self.recipe.num_envs) if self.batch else render_pictures(self.env)[0]

    def seal(self) -> None:
        """Closes the journal; a second call does nothing."""
        self.journal.close()

    def free(self) -> None:
        """Closes the environment. Errors are ignored, and the supervisor ends the host if it hangs."""
        with self.watched():
            close(self.env)

    def watched(self) -> contextlib.AbstractContextManager[None]:
        """Wraps a call into the environment, so that the supervisor can end one that takes too long."""
        return watched(self.pulse, self.number)

    def restore(self, episodes: Sequence[Episode], answer: tuple[Any, ...]) -> TimeStep | None:
        """Restores the state from the journal, and returns the last time step, or None if it did not replay.

        Args:
            answer: the replayed answer of the last call, or () if it did not replay.
        """
        self.steps = sum(len(episode.steps) for episode in episodes)
        self.episode = len(episodes)
        if not answer:
            return None
        time_step = of_record(episodes[-1].moves[-1], self.observations.pack(answer[0]), pack_info(answer[-1]))
        self.state = DONE if time_step.step_type is LAST else RUNNING
        for move in (move for episode in episodes for move in episode.moves) if self.finished is not None else ():
            if isinstance(move, records.Reset):
                self._note_finished(move.options, None)
            else:
                self._note_finished(None, move.terminated | move.truncated)
        return time_step

    def latest_snapshot(self, episodes: Sequence[Episode]) -> Snapshot | None:
        """The last snapshot of the current episode, or None."""
        return latest_snapshot(self.folder, episodes) if self.snapshots is not None else None

    def why_not_running(self) -> str:
        """The reason why a step is refused."""
        if self.lost:
            return f"{self.lost}; reset the instance to go on"
        if self.state == DONE and self.finished is not None:
            copies = ", ".join(map(str, np.flatnonzero(self.finished)))
            return f"the episodes of copies {copies} are over: reset them with options {{'reset_mask': […]}}"
        if self.state == DONE:
            return "the episode is over: reset the instance"
        return "reset the instance before its first step"

    def _take_snapshot(self, digest: int, seconds: float) -> None:
        """Takes a snapshot if one is due. After a failure no more are taken."""
        assert self.snapshots is not None
        try:
            self.snapshots.stepped(self.steps + self.episode, digest, seconds)
        except BaseException as error:  # raised by the environment; the episode can be replayed without snapshots
            logging.getLogger(__name__).warning("%s: no snapshots: %s", self.folder.name, error)
            self.snapshots = None

    def _note_finished(self, options: Mapping[str, object] | None, ended: np.ndarray | None) -> None:
        """Updates the finished copies: a step adds those that `ended`, a reset removes those that it resets."""
        assert self.finished is not None
        if ended is not None:
            self.finished = self.finished | ended
        else:
            mask = (options or {}).get("reset_mask")
            self.finished = np.zeros_like(self.finished) if mask is None else self.finished & ~np.asarray(mask, bool)
        self.state = DONE if self.finished.any() else RUNNING


def with_heartbeat(recorded: RecordedEnvironment, alive: Callable[[], None]) -> Callable[[], None]:
    """Returns an `alive` that also counts a call in the pulse, so that the supervisor notices a hung replay."""
    pulse = recorded.pulse

    def heartbeat() -> None:
        alive()
        pulse[CALLS] += 1
        pulse[INSTANCE] = recorded.number

    return heartbeat
