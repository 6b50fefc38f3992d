"""A recorded environment: each of its resets and steps is in the journal before anybody has the answer."""

import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gymserve.environments.foreign import check_reset, close, failure
from gymserve.hosts.instance.rendering import pictures, without_pictures
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
from gymserve.journal.snapshots import Leap, Snapshots, can_tell, leap
from gymserve.protocol import errors
from gymserve.protocol.recipe import Recipe
from gymserve.protocol.spaces import codec

CREATED, RUNNING, DONE = "created", "running", "done"


class Recorded:
    """An instance's environment, and where in its episodes it is.

    Args:
        folder: the instance's.
        env: the environment, or vector environment if the recipe is one of those.
        pulse: the host's page of memory (see `hosts/pulse.py`).

    Attributes:
        lost: why the last episode could not be revived, or "".
        finished: which copies wait for their reset, where the agent is to ask for it.
        timed: steps since this process has the instance.
        seconds: what these took in the environment, in the journal, and in all.
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
        self.timed = 0
        self.seconds = [0.0, 0.0, 0.0]
        self.batch = recipe.is_vector
        self.finished = np.zeros(recipe.num_envs, bool) if recipe.autoreset_mode == "Disabled" else None
        self.adopt(env)

    def adopt(self, env: Any) -> None:
        """Goes on with `env`."""
        self.env = env
        has_snapshots = not self.batch and not self.recipe.wrappers and can_tell(env)  # wrappers' state is in none
        self.snapshots = Snapshots(self.folder, env) if has_snapshots else None
        self.actions = codec(env.action_space)
        self.observations = codec(env.observation_space)

    def reset(self, seed: Any, options: dict[str, Any] | None, call: int | None) -> TimeStep:
        """Starts an episode.

        The first reset without a seed gets one drawn here, so that every episode can be replayed.

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
        except BaseException as error:  # the environment's own; a host ignores SIGINT
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
        """Acts once; `action` is in the action space, and `packed_action` is the same, packed. `at` is for `Graded`.

        Raises:
            Conflict: there was no reset yet, or the episode is over.
            EnvironmentFailed: the environment raised an error.
            StorageFull: the journal has no room.
        """
        if self.state is not RUNNING:
            raise (errors.NotReplayable if self.lost else errors.Conflict)(self.why_not_running())
        began = time.perf_counter()
        pulse = self.pulse
        pulse[CALLS] += 1
        pulse[INSTANCE] = self.number
        try:
            observation, reward, terminated, truncated, info = self.env.step(action)
            stepped = time.perf_counter()
            packed, packed_info = self.observations.pack(observation), pack_info(info) if info else NO_INFO
            if self.batch:
                reward = np.array(reward, np.float64)  # copies: some environments write into theirs at the next step
                terminated, truncated = np.array(terminated, bool), np.array(truncated, bool)
            else:
                reward, terminated, truncated = float(reward), bool(terminated), bool(truncated)
        except BaseException as error:  # the environment's own; a host ignores SIGINT
            raise failure(error) from error
        finally:
            pulse[INSTANCE] = 0
        digest = records.digest(packed)
        answered = time.perf_counter()
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
        self._note_times(began, stepped, answered)
        if self.snapshots is not None and self.state is RUNNING:
            self._keep(digest, stepped - began)
        return time_step

    def _note_times(self, began: float, stepped: float, answered: float) -> None:
        seconds, now = self.seconds, time.perf_counter()
        self.timed += 1
        seconds[0] += stepped - began
        seconds[1] += now - answered
        seconds[2] += now - began

    def render(self) -> Any:
        """The current state as the render mode has it; a picture is (height, width, 3) uint8, of a vector instance one
        for each copy.

        Raises:
            EnvironmentFailed: the environment raised an error, or gave something else.
        """
        with self.watched():
            if self.recipe.render_mode != "rgb_array":
                return without_pictures(self.env)
            return pictures(self.env, self.recipe.num_envs) if self.batch else pictures(self.env)[0]

    def seal(self) -> None:
        """Leaves the journal whole; again: does nothing more."""
        self.journal.close()

    def free(self) -> None:
        """Closes the environment. One that cannot be closed is forgotten all the same; one that hangs in it is found."""
        with self.watched():
            close(self.env)

    def watched(self) -> contextlib.AbstractContextManager[None]:
        """Around a call into the environment: the supervisor ends one that takes too long."""
        return watched(self.pulse, self.number)

    def recall(self, episodes: Sequence[Episode], answer: tuple[Any, ...]) -> TimeStep | None:
        """Takes over what the journal says, and returns the last time step, or None where it does not replay.

        Args:
            answer: what the last call answered when it was replayed just now.
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

    def leap(self, episodes: Sequence[Episode]) -> Leap | None:
        """The way to the last snapshot of the current episode, if there is one."""
        return leap(self.folder, episodes) if self.snapshots is not None else None

    def why_not_running(self) -> str:
        """Why a step is refused."""
        if self.lost:
            return f"{self.lost}; reset the instance to go on"
        if self.state == DONE and self.finished is not None:
            copies = ", ".join(map(str, np.flatnonzero(self.finished)))
            return f"the episodes of copies {copies} are over: reset them with options {{'reset_mask': […]}}"
        if self.state == DONE:
            return "the episode is over: reset the instance"
        return "reset the instance before its first step"

    def _keep(self, digest: int, seconds: float) -> None:
        """Lets a snapshot be taken when it is time; an environment that cannot is not asked again."""
        assert self.snapshots is not None
        try:
            self.snapshots.stepped(self.steps + self.episode, digest, seconds)
        except BaseException as error:  # whatever an environment raises: the episode can be replayed without
            logging.getLogger(__name__).warning("%s: no snapshots: %s", self.folder.name, error)
            self.snapshots = None

    def _note_finished(self, options: dict[str, Any] | None, ended: np.ndarray | None) -> None:
        """Notes which copies are over: after a step those that have `ended` as well, after a reset all but the reset ones."""
        assert self.finished is not None
        if ended is not None:
            self.finished = self.finished | ended
        else:
            mask = (options or {}).get("reset_mask")
            self.finished = np.zeros_like(self.finished) if mask is None else self.finished & ~np.asarray(mask, bool)
        self.state = DONE if self.finished.any() else RUNNING


def beating(recorded: Recorded, alive: Callable[[], None]) -> Callable[[], None]:
    """`alive` that also tells the supervisor of each call, so that a hung replay is found."""
    pulse = recorded.pulse

    def beat() -> None:
        alive()
        pulse[CALLS] += 1
        pulse[INSTANCE] = recorded.number

    return beat
