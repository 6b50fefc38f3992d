"""Snapshots are a shortcut for replays, and are checked by the records that follow them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit

from gymserve.journal import Created, Playback, Reset, Step, episodes_of
from gymserve.journal.records import digest
from gymserve.journal.snapshots import EVERY_SECONDS, NAMES, Snapshots, discard, latest_snapshot, supports_snapshots
from gymserve.protocol.errors import NotReplayable
from gymserve.protocol.recipe import Recipe
from gymserve.protocol.spaces import codec


class Sum(gymnasium.Env[np.ndarray, int]):
    """Adds actions up; counts its steps in `lived`."""

    observation_space = spaces.Box(-1e9, 1e9, (1,), np.float64)
    action_space = spaces.Discrete(10)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.total, self.lived = float(seed or 0), 0
        return np.array([self.total]), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.lived += 1
        self.total += float(action)
        return np.array([self.total]), self.total, False, False, {}

    def snapshot(self) -> Any:
        return self.total

    def restore(self, snapshot: Any) -> None:
        self.total = snapshot


class Story:
    """An instance's resets and steps, with the records and snapshots of them."""

    def __init__(self, folder: Path, limit: int = 50) -> None:
        self.folder = folder
        self.env = TimeLimit(Sum(), limit)
        self.snapshots = Snapshots(folder, self.env)
        self.moves: list[Reset | Step] = []

    def reset(self, seed: int) -> None:
        observation, _ = self.env.reset(seed=seed)
        self.moves.append(Reset(None, digest(codec(Sum.observation_space).pack(observation)), 0.0, seed, None, None))

    def steps(self, actions: Sequence[int], *, seconds: float = EVERY_SECONDS / 4) -> None:
        for action in actions:
            observation, reward, terminated, truncated, _ = self.env.step(action)
            observed = digest(codec(Sum.observation_space).pack(observation))
            packed = codec(Sum.action_space).pack(action)
            self.moves.append(Step(None, observed, packed, reward, terminated, truncated, None))
            self.snapshots.stepped(len(self.moves), observed, seconds)

    def replay(self) -> tuple[Sum, tuple[Any, ...]]:
        """Replays the last episode; returns the fresh environment and the answer of the last call."""
        env: Any = TimeLimit(Sum(), 50)
        created = Created(Recipe(env_id="Sum-v0", environment="Sum-v0"))
        episodes = episodes_of([created, *self.moves])
        playback = Playback(env, codec(env.observation_space), codec(env.action_space))
        return env, playback.run(episodes[-1].moves, restore=True, snapshot=latest_snapshot(self.folder, episodes))


def test_only_the_steps_after_the_snapshot_are_replayed(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.reset(3)
    story.steps([1] * 11)  # snapshots after the 4th and the 8th
    env, answer = story.replay()
    assert env.unwrapped.lived == 3 and answer[1] == 14
    assert env._elapsed_steps == 11


def test_a_snapshot_needs_a_step_after_it(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.reset(3)
    story.steps([1] * 8)
    env, answer = story.replay()
    assert env.unwrapped.lived == 4 and answer[1] == 11


def test_the_time_limit_is_restored(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.reset(3)
    story.steps([1] * 49)
    env, _ = story.replay()
    assert env.step(1)[3]


def test_snapshots_of_an_earlier_episode_are_ignored(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.reset(3)
    story.steps([1] * 9)
    story.reset(3)
    story.steps([1] * 3)
    env, answer = story.replay()
    assert env.unwrapped.lived == 3 and answer[1] == 6


@pytest.mark.parametrize("harm", ["", "{", "[]", "null", '{"moves": "9"}', '{"moves": 9, "digest": 1}'])
def test_a_torn_snapshot_is_ignored(tmp_path: Path, harm: str) -> None:
    story = Story(tmp_path)
    story.reset(3)
    story.steps([1] * 11)
    for name in NAMES:
        (tmp_path / name).write_text(harm)
    env, answer = story.replay()
    assert env.unwrapped.lived == 11 and answer[1] == 14


@pytest.mark.parametrize("name", NAMES)
def test_the_other_snapshot_is_used_if_one_is_torn(tmp_path: Path, name: str) -> None:
    story = Story(tmp_path)
    story.reset(3)
    story.steps([1] * 11)
    (tmp_path / name).write_text("{")
    env, answer = story.replay()
    assert env.unwrapped.lived in (3, 7) and answer[1] == 14


def test_earlier_episodes_count_towards_a_snapshots_position(tmp_path: Path) -> None:
    story = Story(tmp_path)
    for steps in (3, 1):
        story.reset(3)
        story.steps([1] * steps, seconds=0.0)
    story.reset(3)
    story.steps([1] * 11)
    env, answer = story.replay()
    assert env.unwrapped.lived == 3 and answer[1] == 14


def test_a_wrong_snapshot_is_detected_by_the_next_record(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.reset(3)
    story.steps([1] * 11)
    for name in NAMES:
        snapshot = json.loads((tmp_path / name).read_text())
        (tmp_path / name).write_text(json.dumps(snapshot | {"state": 99.0}))
    with pytest.raises(NotReplayable):
        story.replay()


def test_quick_steps_take_no_snapshots(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.reset(3)
    story.steps([1] * 40, seconds=1e-6)
    assert not list(tmp_path.iterdir())
    story.steps([1], seconds=0.5)
    assert len(list(tmp_path.iterdir())) == 1


def test_snapshots_can_be_discarded(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.reset(3)
    story.steps([1] * 9)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
    discard(tmp_path)
    discard(tmp_path)
    assert not list(tmp_path.iterdir())


def test_environments_without_snapshots_are_recognised() -> None:
    assert supports_snapshots(TimeLimit(Sum(), 5)) and not supports_snapshots(gymnasium.make("CartPole-v1"))
