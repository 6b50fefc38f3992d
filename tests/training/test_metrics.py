"""Metrics: from a runner's file into the database, once each; ranges, means of parts, summaries."""

import json
from pathlib import Path
from typing import Any

import pytest

from gymserve.store import Database
from gymserve.store.models import Experiment
from gymserve.training import metrics
from gymserve.training.metrics import Metrics


@pytest.fixture
def row(database: Database) -> Experiment:
    with database.writing() as session:
        session.add(made := Experiment(name="e", title="t", runner="sb3"))
        session.flush()
    return made


def load(database: Database, row: Experiment, file: Path) -> None:
    with database.writing() as session:
        metrics.load(session, session.merge(row), file)
    with database.reading() as session:
        row.metrics_read = session.get_one(Experiment, row.id).metrics_read


def write(file: Path, *lines: Any) -> None:
    with open(file, "a") as appending:
        appending.writelines(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)


def test_each_line_is_read_once_and_half_a_line_later(database: Database, row: Experiment, tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    load(database, row, file)
    write(file, [1, {"reward": 1.5, "loss": None}], '[2, {"rew')
    for _ in range(2):
        load(database, row, file)
    asked = Metrics(database)
    assert asked.points(row.id) == [(1, {"reward": 1.5, "loss": None})]
    write(file, 'ard": 2}]\n', "rubbish\n", [3, {"reward": 3}])
    load(database, row, file)
    assert [point.timestep for point in asked.points(row.id)] == [1, 2, 3]
    assert asked.names(row.id) == ["loss", "reward"]


def test_what_lies_behind_a_checkpoint_is_forgotten(database: Database, row: Experiment, tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    write(file, [1, {"reward": 1}])
    size = file.stat().st_size
    write(file, [2, {"reward": 2}])
    load(database, row, file)
    with database.writing() as session:
        metrics.cut(session, session.merge(row), size)
    assert Metrics(database).points(row.id) == [(1, {"reward": 1})]


def test_ranges_and_means_of_parts(database: Database, row: Experiment, tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    write(file, *([step, {"reward": step, "loss": -step}] for step in range(1, 1001)))
    load(database, row, file)
    asked = Metrics(database)
    some = asked.points(row.id, names=["reward"], first=10, last=12)
    assert some == [(10, {"reward": 10}), (11, {"reward": 11}), (12, {"reward": 12})]
    parts = asked.points(row.id, points=10)
    assert [point.timestep for point in parts] == list(range(100, 1001, 100))
    assert parts[0].values == {"reward": 50.5, "loss": -50.5}
    assert asked.points(row.id, first=2000) == []


def test_a_summary_is_of_the_last_hundred_episodes(database: Database, row: Experiment, tmp_path: Path) -> None:
    asked = Metrics(database)
    nothing = {"avg_reward_last_100": None, "total_timesteps": 0, "best_reward": None, "total_episodes": 0}
    assert asked.summary(row) == nothing
    file = tmp_path / "metrics.jsonl"
    write(file, *([step, {"reward": step}] for step in range(1, 201)))
    load(database, row, file)
    row.timesteps = 200
    assert asked.summary(row) == {
        "avg_reward_last_100": 150.5, "total_timesteps": 200, "best_reward": 200, "total_episodes": 200,
    }  # fmt: skip


def test_two_episodes_that_end_at_once_are_two(database: Database, row: Experiment, tmp_path: Path) -> None:
    write(file := tmp_path / "metrics.jsonl", [8, {"reward": 1}], [8, {"reward": 2}])
    load(database, row, file)
    assert Metrics(database).points(row.id) == [(8, {"reward": 1}), (8, {"reward": 2})]
    assert Metrics(database).series([row.id]) == {row.id: {"reward": [1, 2], "reward_T": [8, 8]}}
