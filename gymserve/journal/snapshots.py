"""Snapshots: an episode's moment in a file, so that revival need not take all the steps that led there.

They are for environments whose innermost one has `snapshot() -> plain data` and `restore(plain data)`, which takes an
episode that was just reset on to where the snapshot was taken, to the bit. The last two are kept beside the journal, in
`snapshot.0` and `snapshot.1`. They are a shortcut, not a record: the reset before and every step after one is replayed and
compared all the same, and where that fails, the whole episode is.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gymnasium.wrappers import TimeLimit

from gymserve.journal.episodes import Episode
from gymserve.system import randomness

EVERY_SECONDS = 0.5  # of stepping
NAMES = ("snapshot.0", "snapshot.1")


class Snapshots:
    """Writes them as an instance is stepped.

    Args:
        folder: the instance's.
        env: an environment that `can_tell`.
    """

    def __init__(self, folder: Path, env: Any) -> None:
        self._folder = folder
        self._env = env
        self._seconds = 0.0
        self._number = 0

    def stepped(self, moves: int, digest: int, seconds: float) -> None:
        """Notes a step that did not end its episode; takes a snapshot where enough time went into steps since the last.

        Args:
            moves: resets and steps in the journal, this one included.
            digest: of this step's observation.
            seconds: that it took.
        """
        self._seconds += seconds
        if self._seconds < EVERY_SECONDS:
            return
        self._seconds = 0.0
        self._number += 1
        told = {
            "moves": moves,
            "digest": digest,
            "elapsed": [limit._elapsed_steps for limit in _limits(self._env)],
            "randomness": randomness.state(),
            "state": self._env.unwrapped.snapshot(),
        }
        (self._folder / NAMES[self._number % 2]).write_text(json.dumps(told))


class Leap(NamedTuple):
    """The way over the first `position` records of an episode."""

    position: int
    elapsed: list[int]
    randomness: Any
    state: Any

    def apply(self, env: Any) -> None:
        """Takes an environment that was just reset on to the snapshot."""
        env.unwrapped.restore(self.state)
        for limit, steps in zip(_limits(env), self.elapsed, strict=True):
            limit._elapsed_steps = steps
        randomness.restore(self.randomness)


def can_tell(env: Any) -> bool:
    """Whether an environment has snapshots."""
    return callable(getattr(env.unwrapped, "snapshot", None)) and callable(getattr(env.unwrapped, "restore", None))


def leap(folder: Path, episodes: Sequence[Episode]) -> Leap | None:
    """The farthest snapshot of the last episode that at least one step of it follows; None: there is none.

    Args:
        folder: the instance's.
        episodes: all of its.
    """
    before = sum(1 + len(each.steps) for each in episodes[:-1])
    episode = episodes[-1].moves
    found = []
    for name in NAMES:
        try:
            told = json.loads((folder / name).read_text())
            position = told["moves"] - before
            if 1 < position < len(episode) and episode[position - 1].digest == told["digest"]:
                found.append(Leap(position, told["elapsed"], told["randomness"], told["state"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # it is not there, or was torn
    return max(found, key=lambda each: each.position, default=None)


def discard(folder: Path) -> None:
    """Removes an instance's snapshots."""
    for name in NAMES:
        (folder / name).unlink(missing_ok=True)


def _limits(env: Any) -> Iterator[Any]:
    """The wrappers that count an episode's steps, from the outermost on."""
    while env is not env.unwrapped:
        if isinstance(env, TimeLimit):
            yield env
        env = env.env
