"""A recorded environment: the seed of its first reset, times of steps, snapshots, and the recipe of its trial."""

from pathlib import Path

import numpy as np
import pytest

from gymserve.journal import episodes_of, snapshots
from gymserve.protocol.recipe import Trial
from tests.hosts.instance.test_instance import Life
from tests.support.environments.faulty import Faulty


@pytest.mark.parametrize("seed", [9, 0, None])
def test_a_first_reset_without_a_seed_has_that_of_the_recipe_or_a_random_one(tmp_path: Path, seed: int | None) -> None:
    life = Life(tmp_path, "CartPole-v1", seed=seed)
    life.reset()
    used = life.records[1].seed
    assert isinstance(used, int) and (seed is None or used == seed)


def test_the_times_of_steps_add_up(tmp_path: Path) -> None:
    life = Life(tmp_path, "CartPole-v1")
    life.reset(3)
    for action in (0, 1, 0):
        life.step(action)
    times = life.instance.recorded.step_times
    environment, journal, total = times.sums
    assert times.steps == 3 and min(environment, journal) > 0 and environment + journal < total


def test_a_snapshot_tells_how_many_moves_of_any_episode_it_replaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(Faulty, "snapshot", lambda env: env.count, raising=False)
    monkeypatch.setattr(Faulty, "restore", lambda env, count: setattr(env, "count", count), raising=False)
    life = Life(tmp_path, "Faulty-v0")
    for steps in (3, 4):
        life.reset()
        for _ in range(steps):
            life.step(0)
        snapshot = life.instance.recorded.latest_snapshot(episodes_of(life.records))
        assert snapshot is not None and (snapshot.position, snapshot.state) == (steps, steps - 1)
        life.lose()
        assert np.frombuffer(life.step(0).observation)[0] == steps + 1


def test_each_trial_goes_on_with_its_own_arguments_after_a_revival(tmp_path: Path) -> None:
    life = Life(tmp_path, "Grabbing-v0", trials=tuple(Trial(1, None, {"config": {"start": at}}) for at in (5, 6, 7)))
    for at in (5, 6, 7):
        life.reset()
        life.lose()
        assert not life.instance.recorded.lost and life.instance.current_recipe.kwargs == {"config": {"start": at}}
        assert np.frombuffer(life.step([1.0]).observation)[0] == at + 2
