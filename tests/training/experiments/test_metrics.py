"""Metrics: loaded once from a runner's file into the database; ranges, means of parts, summaries."""

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


def test_each_line_is_read_once_when_it_is_complete(database: Database, row: Experiment, tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    with database.writing() as session:
        assert not metrics.load(session, session.merge(row), file)  # the file does not exist yet
    write(file, [1, {"reward": 1.5, "loss": None}], '[2, {"rew')
    for _ in range(2):
        load(database, row, file)
    table = Metrics(database)
    assert table.points(row.id) == [(1, {"reward": 1.5, "loss": None})]
    write(file, 'ard": 2}]\n', "rubbish\n", [3, {"reward": 3}])
    load(database, row, file)
    assert [point.timestep for point in table.points(row.id)] == [1, 2, 3]
    assert table.names(row.id) == ["loss", "reward"]


def test_metrics_after_a_checkpoint_are_cut(database: Database, row: Experiment, tmp_path: Path) -> None:
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
    table = Metrics(database)
    some = table.points(row.id, names=["reward"], first=10, last=12)
    assert some == [(10, {"reward": 10}), (11, {"reward": 11}), (12, {"reward": 12})]
    parts = table.points(row.id, points=10)
    assert [point.timestep for point in parts] == list(range(100, 1001, 100))
    assert parts[0].values == {"reward": 50.5, "loss": -50.5}
    assert table.points(row.id, first=2000) == []


def test_a_summary_is_of_the_last_hundred_episodes(database: Database, row: Experiment, tmp_path: Path) -> None:
    table = Metrics(database)
    nothing = {"avg_reward_last_100": None, "total_timesteps": 0, "best_reward": None, "total_episodes": 0}
    assert table.summary(row) == nothing
    file = tmp_path / "metrics.jsonl"
    write(file, *([step, {"reward": step}] for step in range(1, 201)))
    load(database, row, file)
    row.timesteps = 200
    assert table.summary(row) == {
        "avg_reward_last_100": 150.5, "total_timesteps": 200, "best_reward": 200, "total_episodes": 200,
    }  # fmt: skip


def test_two_episodes_that_end_together_are_both_kept(database: Database, row: Experiment, tmp_path: Path) -> None:
    write(file := tmp_path / "metrics.jsonl", [8, {"reward": 1}], [8, {"reward": 2}])
    load(database, row, file)
    assert Metrics(database).points(row.id) == [(8, {"reward": 1}), (8, {"reward": 2})]
    assert Metrics(database).series([row.id]) == {row.id: {"reward": [1, 2], "reward_T": [8, 8]}}


def fresh(database: Database, row: Experiment) -> Experiment:
    with database.reading() as session:
        return session.get_one(Experiment, row.id)


def load_current(database: Database, row: Experiment, file: Path) -> None:
    """Load the file like the scheduler, with the current row."""
    with database.writing() as session:
        metrics.load(session, session.get_one(Experiment, row.id), file)


def test_the_largest_timestep_counts_wherever_it_is(database: Database, row: Experiment, tmp_path: Path) -> None:
    """An evaluation's line may follow those of later episodes."""
    write(
        file := tmp_path / "metrics.jsonl", [5, {"reward": 1}], [9, {"reward": 2}], [7, {"evaluation/mean_reward": 3}]
    )
    load_current(database, row, file)
    assert fresh(database, row).timesteps == 9
    write(file, [8, {"reward": 1}])
    load_current(database, row, file)
    assert fresh(database, row).timesteps == 9


def test_a_full_batch_reports_that_there_may_be_more(
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


def test_after_a_cut_the_row_ends_with_its_metrics(database: Database, row: Experiment, tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    write(file, [1, {"reward": 1}], [3, {"reward": 1}])
    size = file.stat().st_size
    write(file, [9, {"reward": 2}])
    load_current(database, row, file)
    with database.writing() as session:
        metrics.cut(session, session.get_one(Experiment, row.id), size)
    assert (fresh(database, row).timesteps, fresh(database, row).metrics_read) == (3, size)
    with database.writing() as session:  # beyond what was read: the rest of the file is still loaded
        metrics.cut(session, session.get_one(Experiment, row.id), size + 100)
    assert fresh(database, row).metrics_read == size
    load_current(database, row, file)
    assert [point.timestep for point in Metrics(database).points(row.id)] == [1, 3, 9]
    with database.writing() as session:
        metrics.cut(session, session.get_one(Experiment, row.id), 0)
    assert fresh(database, row).timesteps == 0


def test_non_finite_values_are_missing_and_in_no_mean(database: Database, row: Experiment, tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    write(file, f'[1, {{"reward": 1{"0" * 400}}}]\n', [2, {"reward": None}], [3, {"reward": 4}], [4, {"reward": 6}])
    write(file, f'[5, {{"loss": 1{"0" * 308}}}]\n', '[6, {"reward": 1e999}]\n', '[7, {"reward": NaN}]\n')
    load_current(database, row, file)
    table = Metrics(database)
    assert table.points(row.id, names=["reward"], last=2) == [(1, {"reward": None}), (2, {"reward": None})]
    assert table.points(row.id, first=5) == [(5, {"loss": 1e308})]  # the lines after it are not JSON
    summary = table.summary(fresh(database, row))
    assert summary["avg_reward_last_100"] == 5 and summary["best_reward"] == 6 and summary["total_episodes"] == 4


def test_queries_return_only_the_experiments_own_metrics(database: Database, row: Experiment, tmp_path: Path) -> None:
    """The experiments before and after it have metrics with the same names and positions."""
    with database.writing() as session:
        session.add_all(
            neighbours := [Experiment(name=name, title="t", runner="sb3", state="created") for name in ("f", "g")]
        )
        session.flush()
        before, middle, after = row.id, *(each.id for each in neighbours)
    table = Metrics(database)
    assert (
        table.episodes([middle]) == {middle: 0} and table.newest(middle) == 0 and table.series([middle]) == {middle: {}}
    )
    own: list[Any] = [[1, {"reward": 1.5, "loss": 9}], [2, {"reward": None, "episode_length": 7}], [3, {"reward": 1}]]
    for experiment, lines in ((before, [[2, {"alpha": 4}], *own]), (middle, own), (after, [*own, [9, {"reward": 50}]])):
        write(tmp_path / str(experiment), *lines)
        with database.writing() as session:
            metrics.load(session, session.get_one(Experiment, experiment), tmp_path / str(experiment))
    assert table.names(middle) == ["episode_length", "loss", "reward"]
    assert table.points(middle) == [
        (1, {"reward": 1.5, "loss": 9}), (2, {"reward": None, "episode_length": 7}), (3, {"reward": 1}),
    ]  # fmt: skip
    assert table.returns(middle, 2) == [(1, 1.5), (2, None)] and len(table.returns(after, 9)) == 4
    assert table.episodes([middle, after]) == {middle: 3, after: 4}
    summary = {"avg_reward_last_100": 1.25, "total_timesteps": 3, "best_reward": 1.5, "total_episodes": 3}
    with database.reading() as session:
        assert table.summary(session.get_one(Experiment, middle)) == summary
    rows = table.after(middle, 0)
    assert [(each.name, each.value) for each in rows] == [
        ("reward", 1.5), ("loss", 9), ("reward", None), ("episode_length", 7), ("reward", 1),
    ]  # fmt: skip
    assert [each.id for each in table.after(middle, rows[1].id, most=2)] == [rows[2].id, rows[3].id]
    assert table.newest(middle) == rows[-1].id < table.newest(after)
    with database.writing() as session:
        metrics.cut(session, session.get_one(Experiment, middle), 1)
    assert [len(table.points(each)) for each in (before, middle, after)] == [3, 1, 4]
    with database.reading() as session:
        assert session.get_one(Experiment, middle).timesteps == 1


def test_without_episodes_a_summary_uses_the_first_known_mean(
    database: Database, row: Experiment, tmp_path: Path
) -> None:
    write(file := tmp_path / "metrics.jsonl", [5, {"a": 90, "test_return_mean": 70}], [6, {"z": 90, "return_mean": 3}])
    load_current(database, row, file)
    write(tmp_path / "next", [1, {"reward": 50}])
    with database.writing() as session:
        session.add(following := Experiment(name="f", title="t", runner="sb3", state="created"))
        session.flush()
        metrics.load(session, following, tmp_path / "next")
    table = Metrics(database)
    summary = {"avg_reward_last_100": 3, "total_timesteps": 6, "best_reward": 3, "total_episodes": None}
    assert table.summary(fresh(database, row)) == summary
    write(file, [7, {"rollout/ep_rew_mean": 2}])
    load_current(database, row, file)
    assert table.summary(fresh(database, row)) == summary | {
        "avg_reward_last_100": 2, "total_timesteps": 7, "best_reward": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("runner", "early", "values", "name"),
    [
        ("ptf", "undiscounted_reward", {"reward_mean": 1, "undiscounted_reward": 2}, "undiscounted_reward"),
        ("pymarl", "return_mean", {"loss": 1, "test_return_mean": 2}, "test_return_mean"),
        ("pymarl", "return_mean", {"return_mean": 1, "test_return_mean": 2}, "return_mean"),
        ("sb3", "reward", {"rollout/ep_rew_mean": 1}, "rollout/ep_rew_mean"),
        ("mine", "reward", {"loss": 1}, "reward"),
    ],
)
def test_each_runners_returns_have_their_name(
    database: Database, row: Experiment, tmp_path: Path, runner: str, early: str, values: dict[str, float], name: str
) -> None:
    table, row.runner = Metrics(database), runner
    assert table.return_name(row) == early
    write(file := tmp_path / "metrics.jsonl", [1, values])
    load(database, row, file)
    assert table.return_name(row) == name


def test_timesteps_and_names_fit_the_database(database: Database, row: Experiment, tmp_path: Path) -> None:
    steps = [-1, 0, 1, 2**62 - 1, 2**62, 2**62 + 1]
    write(file := tmp_path / "metrics.jsonl", *([step, {"n" * 100 + str(step): 1}] for step in steps))
    load_current(database, row, file)
    assert Metrics(database).points(row.id) == [(step, {"n" * 100: 1}) for step in steps[1:-2]]
    assert fresh(database, row).metrics_read == file.stat().st_size


def test_uneven_timesteps_are_not_averaged_needlessly(database: Database, row: Experiment, tmp_path: Path) -> None:
    write(file := tmp_path / "metrics.jsonl", *([step, {"reward": step}] for step in (0, 1, 10)))
    load_current(database, row, file)
    each = [(0, {"reward": 0}), (1, {"reward": 1}), (10, {"reward": 10})]
    assert Metrics(database).points(row.id, points=3) == each
    assert Metrics(database).points(row.id, points=2) == [(1, {"reward": 0.5}), (10, {"reward": 10})]


def test_as_many_timesteps_as_points_are_not_averaged(database: Database, row: Experiment, tmp_path: Path) -> None:
    write(file := tmp_path / "metrics.jsonl", *([step, {"reward": step}] for step in range(10_000)))
    load_current(database, row, file)
    table = Metrics(database)
    assert len(table.points(row.id)) == 10_000 and len(table.after(row.id, 0)) == 1000
    write(file, [10_000, {"reward": 0}])
    load_current(database, row, file)
    assert len(table.points(row.id)) <= 10_000 and table.points(row.id)[0] == (1, {"reward": 0.5})
