"""Snapshots: the state of an environment in the middle of an episode, so that revival need not replay all steps before.

An environment supports them if its innermost one has `snapshot() -> plain data` and `restore(plain data)`. After a reset,
`restore` must bring it to exactly the state in which the snapshot was taken. The last two snapshots are kept beside the
journal, in `snapshot.0` and `snapshot.1`. They are only a shortcut: the reset before one and all steps after it are still
replayed and compared, and if they differ, the whole episode is replayed.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gymnasium.wrappers import TimeLimit

from gymserve.journal.episodes import Episode
from gymserve.protocol.generics import ForeignEnv
from gymserve.protocol.wire import JSONValue
from gymserve.system import randomness

EVERY_SECONDS = 0.5  # time spent in steps between two snapshots
NAMES = ("snapshot.0", "snapshot.1")


class Snapshots:
    """Takes snapshots of an instance's environment while it is stepped.

    Args:
        folder: the instance's folder.
        env: an environment that `supports_snapshots`.
    """

    def __init__(self, folder: Path, env: ForeignEnv) -> None:
        self._folder = folder
        self._env = env
        self._seconds = 0.0
        self._number = 0

    def stepped(self, moves: int, digest: int, seconds: float) -> None:
        """Counts a step that did not end its episode, and takes a snapshot if one is due.

        Args:
            moves: the number of resets and steps in the journal, including this step.
            digest: the digest of this step's observation.
            seconds: the duration of this step.
        """
        self._seconds += seconds
        if self._seconds < EVERY_SECONDS:
            return
        self._seconds = 0.0
        self._number += 1
        snapshot = {
            "moves": moves,
            "digest": digest,
            "elapsed": [limit._elapsed_steps for limit in _limits(self._env)],
            "randomness": randomness.state(),
            "state": self._env.unwrapped.snapshot(),
        }
        (self._folder / NAMES[self._number % 2]).write_text(json.dumps(snapshot))


class Snapshot(NamedTuple):
    """The state of an environment after the first `position` records of an episode."""

    position: int
    elapsed: list[int]
    randomness: JSONValue
    state: JSONValue

    def restore(self, env: ForeignEnv) -> None:
        """Restores the state in an environment that was just reset."""
        env.unwrapped.restore(self.state)
        for limit, steps in zip(_limits(env), self.elapsed, strict=True):
            limit._elapsed_steps = steps
        randomness.restore(self.randomness)


def supports_snapshots(env: ForeignEnv) -> bool:
    """Whether an environment has the methods of snapshots."""
    return callable(getattr(env.unwrapped, "snapshot", None)) and callable(getattr(env.unwrapped, "restore", None))


def latest_snapshot(folder: Path, episodes: Sequence[Episode]) -> Snapshot | None:
    """The latest snapshot of the last episode that is followed by at least one step, or None.

    Args:
        folder: the instance's folder.
        episodes: all episodes of the instance's journal.
    """
    before = sum(1 + len(each.steps) for each in episodes[:-1])
    episode = episodes[-1].moves
    snapshots = []
    for name in NAMES:
        try:
            data = json.loads((folder / name).read_text())
            position = data["moves"] - before
            if 1 < position < len(episode) and episode[position - 1].digest == data["digest"]:
                snapshots.append(Snapshot(position, data["elapsed"], data["randomness"], data["state"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # the file is missing or incomplete
    return max(snapshots, key=lambda each: each.position, default=None)


def discard(folder: Path) -> None:
    """Removes an instance's snapshots."""
    for name in NAMES:
        (folder / name).unlink(missing_ok=True)


def _limits(env: ForeignEnv) -> Iterator[ForeignEnv]:
    """Yields the wrappers that count an episode's steps, the outermost first."""
    while env is not env.unwrapped:
        if isinstance(env, TimeLimit):
            yield env
        env = env.env
