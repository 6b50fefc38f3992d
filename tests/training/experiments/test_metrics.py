"""Metrics: from a runner's file into the database, once each; ranges, means of parts, summaries."""

import json
from pathlib import Path
from typing import Any

import pytest

from gymserve.store import Database
from gymserve.store.models import Experiment
from gymserve.training.experiments import metrics
from gymserve.training.experiments.metrics import Metrics


@pytest.fixture
def row(database: Database) -> Experiment:
    with database.writing() as session:
        session.add(made := Experiment(name="e", title="t", runner="sb3", state="running"))
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
    with database.writing() as session:
        assert not metrics.load(session, session.merge(row), file)  # it is not there yet
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


def fresh(database: Database, row: Experiment) -> Experiment:
    with database.reading() as session:
        return session.get_one(Experiment, row.id)


def take_in(database: Database, row: Experiment, file: Path) -> None:
    """As the scheduler does it, with the row as it is."""
    with database.writing() as session:
        metrics.load(session, session.get_one(Experiment, row.id), file)


def test_the_farthest_timestep_is_kept_wherever_it_stands(database: Database, row: Experiment, tmp_path: Path) -> None:
    """An evaluation's line may come behind those of later episodes."""
    write(
        file := tmp_path / "metrics.jsonl", [5, {"reward": 1}], [9, {"reward": 2}], [7, {"evaluation/mean_reward": 3}]
    )
    take_in(database, row, file)
    assert fresh(database, row).timesteps == 9
    write(file, [8, {"reward": 1}])
    take_in(database, row, file)
    assert fresh(database, row).timesteps == 9


def test_a_full_batch_says_that_there_may_be_more(
    database: Database, row: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "BATCH_BYTES", 40)
    write(file := tmp_path / "metrics.jsonl", *([step, {"reward": step}] for step in range(1, 6)))
    looks = []
    for _ in range(4):
        with database.writing() as session:
            looks.append(metrics.load(session, session.get_one(Experiment, row.id), file))
    assert [point.timestep for point in Metrics(database).points(row.id)] == [1, 2, 3, 4, 5]
    assert looks == [True, True, False, False]


def test_a_cut_has_the_row_stand_where_its_metrics_end(database: Database, row: Experiment, tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    write(file, [1, {"reward": 1}], [3, {"reward": 1}])
    size = file.stat().st_size
    write(file, [9, {"reward": 2}])
    take_in(database, row, file)
    with database.writing() as session:
        metrics.cut(session, session.get_one(Experiment, row.id), size)
    assert (fresh(database, row).timesteps, fresh(database, row).metrics_read) == (3, size)
    with database.writing() as session:  # a file that was never read so far: the rest of it still comes
        metrics.cut(session, session.get_one(Experiment, row.id), size + 100)
    assert fresh(database, row).metrics_read == size
    take_in(database, row, file)
    assert [point.timestep for point in Metrics(database).points(row.id)] == [1, 3, 9]
    with database.writing() as session:
        metrics.cut(session, session.get_one(Experiment, row.id), 0)
    assert fresh(database, row).timesteps == 0


def test_what_is_no_finite_number_is_missing_and_counts_in_no_mean(
    database: Database, row: Experiment, tmp_path: Path
) -> None:
    file = tmp_path / "metrics.jsonl"
    write(file, f'[1, {{"reward": 1{"0" * 400}}}]\n', [2, {"reward": None}], [3, {"reward": 4}], [4, {"reward": 6}])
    write(file, f'[5, {{"loss": 1{"0" * 308}}}]\n', '[6, {"reward": 1e999}]\n', '[7, {"reward": NaN}]\n')
    take_in(database, row, file)
    asked = Metrics(database)
    assert asked.points(row.id, names=["reward"], last=2) == [(1, {"reward": None}), (2, {"reward": None})]
    assert asked.points(row.id, first=5) == [(5, {"loss": 1e308})]  # what follows is not JSON
    summary = asked.summary(fresh(database, row))
    assert summary["avg_reward_last_100"] == 5 and summary["best_reward"] == 6 and summary["total_episodes"] == 4


def test_an_experiment_is_told_of_its_own_metrics_alone(database: Database, row: Experiment, tmp_path: Path) -> None:
    """Another one before and after it has values of the same names, at the same places of its file."""
    with database.writing() as session:
        session.add_all(
            neighbours := [Experiment(name=name, title="t", runner="sb3", state="created") for name in ("f", "g")]
        )
        session.flush()
        before, middle, after = row.id, *(each.id for each in neighbours)
    asked = Metrics(database)
    assert (
        asked.episodes([middle]) == {middle: 0} and asked.newest(middle) == 0 and asked.series([middle]) == {middle: {}}
    )
    own: list[Any] = [[1, {"reward": 1.5, "loss": 9}], [2, {"reward": None, "episode_length": 7}], [3, {"reward": 1}]]
    for experiment, lines in ((before, [[2, {"alpha": 4}], *own]), (middle, own), (after, [*own, [9, {"reward": 50}]])):
        write(tmp_path / str(experiment), *lines)
        with database.writing() as session:
            metrics.load(session, session.get_one(Experiment, experiment), tmp_path / str(experiment))
    assert asked.names(middle) == ["episode_length", "loss", "reward"]
    assert asked.points(middle) == [
        (1, {"reward": 1.5, "loss": 9}), (2, {"reward": None, "episode_length": 7}), (3, {"reward": 1}),
    ]  # fmt: skip
    assert asked.returns(middle, 2) == [(1, 1.5), (2, None)] and len(asked.returns(after, 9)) == 4
    assert asked.episodes([middle, after]) == {middle: 3, after: 4}
    summary = {"avg_reward_last_100": 1.25, "total_timesteps": 3, "best_reward": 1.5, "total_episodes": 3}
    with database.reading() as session:
        assert asked.summary(session.get_one(Experiment, middle)) == summary
    rows = asked.after(middle, 0)
    assert [(each.name, each.value) for each in rows] == [
        ("reward", 1.5), ("loss", 9), ("reward", None), ("episode_length", 7), ("reward", 1),
    ]  # fmt: skip
    assert [each.id for each in asked.after(middle, rows[1].id, most=2)] == [rows[2].id, rows[3].id]
    assert asked.newest(middle) == rows[-1].id < asked.newest(after)
    with database.writing() as session:
        metrics.cut(session, session.get_one(Experiment, middle), 1)
    assert [len(asked.points(each)) for each in (before, middle, after)] == [3, 1, 4]
    with database.reading() as session:
        assert session.get_one(Experiment, middle).timesteps == 1


def test_without_episodes_a_summary_is_of_the_first_mean_that_there_is(
    database: Database, row: Experiment, tmp_path: Path
) -> None:
    write(file := tmp_path / "metrics.jsonl", [5, {"a": 90, "test_return_mean": 70}], [6, {"z": 90, "return_mean": 3}])
    take_in(database, row, file)
    write(tmp_path / "next", [1, {"reward": 50}])
    with database.writing() as session:
        session.add(following := Experiment(name="f", title="t", runner="sb3", state="created"))
        session.flush()
        metrics.load(session, following, tmp_path / "next")
    asked = Metrics(database)
    summary = {"avg_reward_last_100": 3, "total_timesteps": 6, "best_reward": 3, "total_episodes": None}
    assert asked.summary(fresh(database, row)) == summary
    write(file, [7, {"rollout/ep_rew_mean": 2}])
    take_in(database, row, file)
    assert asked.summary(fresh(database, row)) == summary | {
        "avg_reward_last_100": 2, "total_timesteps": 7, "best_reward": 2,
    }  # fmt: skip


def test_timesteps_and_names_are_kept_as_far_as_the_database_can(
    database: Database, row: Experiment, tmp_path: Path
) -> None:
    steps = [-1, 0, 1, 2**62 - 1, 2**62, 2**62 + 1]
    write(file := tmp_path / "metrics.jsonl", *([step, {"n" * 100 + str(step): 1}] for step in steps))
    take_in(database, row, file)
    assert Metrics(database).points(row.id) == [(step, {"n" * 100: 1}) for step in steps[1:-2]]
    assert fresh(database, row).metrics_read == file.stat().st_size


def test_uneven_timesteps_are_told_each_for_itself_too(database: Database, row: Experiment, tmp_path: Path) -> None:
    write(file := tmp_path / "metrics.jsonl", *([step, {"reward": step}] for step in (0, 1, 10)))
    take_in(database, row, file)
    each = [(0, {"reward": 0}), (1, {"reward": 1}), (10, {"reward": 10})]
    assert Metrics(database).points(row.id, points=3) == each
    assert Metrics(database).points(row.id, points=2) == [(1, {"reward": 0.5}), (10, {"reward": 10})]


def test_as_many_timesteps_as_points_are_told_each_for_itself(
    database: Database, row: Experiment, tmp_path: Path
) -> None:
    write(file := tmp_path / "metrics.jsonl", *([step, {"reward": step}] for step in range(10_000)))
    take_in(database, row, file)
    asked = Metrics(database)
    assert len(asked.points(row.id)) == 10_000 and len(asked.after(row.id, 0)) == 1000
    write(file, [10_000, {"reward": 0}])
    take_in(database, row, file)
    assert len(asked.points(row.id)) <= 10_000 and asked.points(row.id)[0] == (1, {"reward": 0.5})
