"""Replay: takes an environment through what its journal says, and compares what comes out."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from gymserve.errors import NotReplayable
from gymserve.journal.records import Record, Reset, Step, digest
from gymserve.journal.snapshots import Leap
from gymserve.spaces import Codec


class Playback:
    """Replays resets and steps on `env`, comparing each observation's digest with the record's.

    Args:
        env: a fresh environment (or vector environment), made as the journal's first record says.
        observations, actions: codecs of its spaces.
        alive: called before each record; may raise to end a replay that takes too long.
    """

    def __init__(
        self, env: Any, observations: Codec, actions: Codec, *, alive: Callable[[], None] = lambda: None
    ) -> None:
        self.env = env
        self.observations = observations
        self.actions = actions
        self.alive = alive

    def run(self, records: Sequence[Reset | Step], *, restore: bool, over: Leap | None = None) -> tuple[Any, ...]:
        """What the last record's call answers: (observation, info) or (observation, reward, terminated, truncated, info).

        Args:
            records: the first one must be a reset.
            restore: set the random generators at a first reset without a seed, as the record says.
            over: the way over the steps up to a snapshot, after the reset.

        Raises:
            NotReplayable: an answer differs from the record.
        """
        answer: tuple[Any, ...] = ()
        for index, record in enumerate(records):
            if over is not None and 0 < index < over.position:
                continue
            if over is not None and index == over.position:
                over.apply(self.env)
            answer = self.play(record, restore=restore and index == 0)
            if not self.agrees(record, answer):
                raise NotReplayable(
                    f"the environment does not replay identically: call {index} of {len(records)} gave something else"
                )
        return answer

    def play(self, record: Reset | Step, *, restore: bool) -> tuple[Any, ...]:
        """What the record's call answers now."""
        self.alive()
        if isinstance(record, Step):
            return self.env.step(self.actions.unpack(record.action))
        if restore and record.seed is None and record.generators is not None:
            set_generators(self.env, record.generators)
        return self.env.reset(seed=record.seed, options=record.options)

    def agrees(self, record: Reset | Step, answer: tuple[Any, ...]) -> bool:
        """Whether an answer is the recorded one: its observation's digest, its reward and its flags."""
        return digest(self.observations.pack(answer[0])) == record.digest and self._same(record, answer)

    @staticmethod
    def _same(record: Reset | Step, answer: tuple[Any, ...]) -> bool:
        if isinstance(record, Reset):
            return True
        _, reward, terminated, truncated, _ = answer
        if isinstance(record.terminated, bool):
            same_reward = record.reward == reward or (record.reward != record.reward and reward != reward)
            return same_reward and record.terminated == terminated and record.truncated == truncated
        pairs = ((record.reward, reward), (record.terminated, terminated), (record.truncated, truncated))
        return all(np.array_equal(kept, now, equal_nan=True) for kept, now in pairs)


def within(seconds: float, clock: Callable[[], float] = time.monotonic) -> Callable[[], None]:
    """An `alive` that ends a replay which takes longer than `seconds`."""
    deadline = clock() + seconds

    def alive() -> None:
        if clock() > deadline:
            raise NotReplayable(f"replaying the episode takes longer than {seconds:g} s: reset the instance")

    return alive


def current_episode(moves: Sequence[Reset | Step]) -> Sequence[Reset | Step]:
    """The part from the last reset on."""
    for index in range(len(moves) - 1, -1, -1):
        if isinstance(moves[index], Reset):
            return moves[index:]
    return []


def moves_of(records: Sequence[Record]) -> list[Reset | Step]:
    """The records that moved the environment."""
    return [record for record in records if isinstance(record, (Reset, Step))]


def _environments(env: Any) -> Iterator[Any]:
    """The innermost environments: one, or those of a vector environment that steps others, or itself."""
    inner = env.unwrapped
    for each in getattr(inner, "envs", None) or [inner]:
        yield each.unwrapped


def get_generators(env: Any) -> bytes | None:
    """The state of the environments' random generators; None where there is none yet or it is not numpy's."""
    states = []
    for each in _environments(env):
        generator = getattr(each, "_np_random", None)
        if not isinstance(generator, np.random.Generator):
            return None
        states.append(generator.bit_generator.state)
    return json.dumps(states, default=lambda value: value.tolist()).encode()


def set_generators(env: Any, states: bytes) -> None:
    """The inverse of `get_generators`."""
    for each, state in zip(_environments(env), json.loads(states), strict=True):
        bits = getattr(np.random, state["bit_generator"])()
        bits.state = state
        each._np_random = np.random.Generator(bits)
