"""Replay: repeats a journal's calls on an environment, and compares the answers with the records."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from gymserve.journal.records import Reset, Step, digest
from gymserve.journal.snapshots import Snapshot
from gymserve.protocol import wire
from gymserve.protocol.errors import NotReplayable
from gymserve.protocol.generics import AnyEnv, Env, Value
from gymserve.protocol.spaces import Codec
from gymserve.system import randomness


class Playback:
    """Replays resets and steps on `env`, comparing each observation's digest with the record's.

    Args:
        env: a fresh environment (or vector environment), made by the recipe in the journal's first record.
        observations, actions: the codecs of its spaces.
        alive: called before each record; may raise an error to end a replay that takes too long.
    """

    def __init__(
        self, env: AnyEnv, observations: Codec, actions: Codec, *, alive: Callable[[], None] = lambda: None
    ) -> None:
        self.env = env
        self.observations = observations
        self.actions = actions
        self.alive = alive

    def run(
        self, records: Sequence[Reset | Step], *, restore: bool, snapshot: Snapshot | None = None
    ) -> tuple[Value, ...]:
        """Replays records and returns the last answer, as Gymnasium's `reset` or `step` returns it.

        Args:
            records: the records to replay; the first one must be a reset.
            restore: whether to restore the recorded random generators before resets without a seed.
            snapshot: restored after the reset, instead of replaying the steps before it.

        Raises:
            NotReplayable: an answer differs from the record.
        """
        answer: tuple[object, ...] = ()
        for index, record in enumerate(records):
            if snapshot is not None and 0 < index < snapshot.position:
                continue
            if snapshot is not None and index == snapshot.position:
                snapshot.restore(self.env)
            answer = self.play(record, restore=restore)
            if not self.agrees(record, answer):
                raise NotReplayable(
                    f"the environment does not replay identically: call {index} of {len(records)} gave something else"
                )
        return answer

    def play(self, record: Reset | Step, *, restore: bool) -> tuple[object, ...]:
        """Replays one record, and returns the environment's answer."""
        self.alive()
        if isinstance(record, Step):
            return self.env.step(self.actions.unpack(record.action))
        if restore and record.seed is None and record.generators is not None:
            set_generators(self.env, record.generators)
        return reset(self.env, record.seed, record.options, record.global_seed)

    def agrees(self, record: Reset | Step, answer: tuple[object, ...]) -> bool:
        """Whether an answer equals the recorded one."""
        return not difference(record, digest(self.observations.pack(answer[0])), *answer[1:-1])


def reset(
    env: AnyEnv, seed: object, options: Mapping[str, object] | None, global_seed: int | None
) -> tuple[Value, dict[str, object]]:
    """Seeds the process' random generators if `global_seed` is given, and resets the environment.

    The environment gets a copy of the arguments, as a replay would pass them, so what it writes into them is not recorded.
    """
    if global_seed is not None:
        randomness.seed(global_seed)
    own_seed, own_options = wire.unpack(wire.pack((seed, options)))
    return env.reset(seed=own_seed, options=own_options)


OBSERVATION, REWARD, END = "observation", "reward", "end of the episode"


def difference(
    record: Reset | Step,
    observed: int | None,
    reward: Value = None,
    terminated: Value = None,
    truncated: Value = None,
) -> str:
    """Compares a record with a replayed answer: OBSERVATION, END or REWARD if that differs, or "".

    Args:
        observed: the digest of the answer's observation, or None to ignore observations.
        reward, terminated, truncated: the rest of a step's answer.
    """
    if observed is not None and observed != record.digest:
        return OBSERVATION
    if isinstance(record, Reset):
        return ""
    if isinstance(record.terminated, bool):
        if record.terminated != terminated or record.truncated != truncated:
            return END
        same = record.reward == reward or (record.reward != record.reward and reward != reward)  # NaN equals NaN here
        return "" if same else REWARD
    if not (np.array_equal(record.terminated, terminated) and np.array_equal(record.truncated, truncated)):
        return END
    return "" if np.array_equal(record.reward, reward, equal_nan=True) else REWARD


def within(seconds: float, clock: Callable[[], float] = time.monotonic) -> Callable[[], None]:
    """Returns an `alive` that ends a replay after `seconds`."""
    deadline = clock() + seconds

    def alive() -> None:
        if clock() > deadline:
            raise NotReplayable(f"replaying the episode takes longer than {seconds:g} s: reset the instance")

    return alive


def _environments(env: AnyEnv) -> Iterator[Env]:
    """Yields the innermost environments: those of a vector environment that has any, or the environment itself."""
    inner = env.unwrapped
    for each in getattr(inner, "envs", None) or [inner]:
        yield each.unwrapped


def get_generators(env: AnyEnv) -> bytes | None:
    """The state of the environments' random generators, or None if one has no generator of numpy's."""
    states = []
    for each in _environments(env):
        generator = getattr(each, "_np_random", None)
        if not isinstance(generator, np.random.Generator):
            return None
        states.append(generator.bit_generator.state)
    return json.dumps(states, default=lambda value: value.tolist()).encode()


def set_generators(env: AnyEnv, states: bytes) -> None:
    """Restores what `get_generators` returned."""
    for each, state in zip(_environments(env), json.loads(states), strict=True):
        bits = getattr(np.random, state["bit_generator"])()
        bits.state = state
        each._np_random = np.random.Generator(bits)
