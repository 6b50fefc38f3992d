"""Experiments as rows, on each kind of database."""

from pathlib import Path

import pytest

from gymserve.environments import Catalogue
from gymserve.protocol.errors import Conflict, InvalidRequest, LimitReached, NotFound
from gymserve.store import Database
from gymserve.store.models import Account, Experiment
from gymserve.training.experiments.lifecycle import Experiments
from gymserve.training.experiments.projects import Projects
from gymserve.training.plan.checker import Checker
from gymserve.training.plan.requests import ChangedTexts
from gymserve.training.runners.folder import Folder
from gymserve.training.scheduling.conclusion import conclude

SETTINGS = {"title": "first", "algorithm": "PPO", "environment": "CartPole-v1", "seed": 2**32 - 1, "tags": ["a", "b"]}


@pytest.fixture
def experiments(database: Database, tmp_path: Path) -> Experiments:
    catalogue = Catalogue()
    return Experiments(database, Checker(catalogue, {}, catalogue.spaces, minutes=60.0, servers=()), tmp_path, most=2)


@pytest.fixture
def account(database: Database) -> int:
    with database.writing() as session:
        session.add(made := Account(email="a", email_key="a", password_hash="", role="participant"))
        session.flush()
    return made.id


def state(database: Database, row: Experiment, value: str) -> None:
    with database.writing() as session:
        session.get_one(Experiment, row.id).state = value


def test_rows_are_found_by_their_owner(experiments: Experiments, account: int) -> None:
    row = experiments.create(account, SETTINGS)
    nobodys = experiments.create(None, {**SETTINGS, "title": "Öther_%"})
    assert experiments.find(row.name, account, sees_all=False).seed == 2**32 - 1
    for name, who in ((nobodys.name, account), (row.name, account + 1), (row.name, None), ("x" * 36, account)):
        with pytest.raises(NotFound):
            experiments.find(name, who, sees_all=False)
    rows, total = experiments.list(None, sees_all=True, filters={"tag": "b", "search": "THER_%"})
    assert ([each.name for each in rows], total) == ([nobodys.name], 1)
    rows, total = experiments.list(account, sees_all=False, filters={"algorithm": "ppo", "status": "created"})
    assert ([each.name for each in rows], total) == ([row.name], 1)


def test_an_experiment_that_cannot_be_queued_is_not_created(
    experiments: Experiments, account: int, database: Database
) -> None:
    project = Projects(database, ("sb3", "mine")).create(account, title="p", description="", project_type="sb3")
    made = [experiments.begin(account, SETTINGS, project=project) for _ in range(2)]
    with pytest.raises(LimitReached):
        experiments.begin(account, SETTINGS, project=project)
    assert [row.id for row in experiments.of_projects([project.id])[project.id]] == [row.id for row in made]


def test_numbers_count_within_a_project(experiments: Experiments, account: int, database: Database) -> None:
    projects = Projects(database, ("sb3", "mine"))
    one, two = (projects.create(account, title="p", description="", project_type="sb3") for _ in range(2))
    made = [experiments.create(account, SETTINGS, project=project) for project in (one, one, two)]
    assert [row.number for row in made] == [1, 2, 1]
    assert experiments.copy(made[0]).number == 3
    assert [row.number for row in experiments.of_projects([one.id])[one.id]] == [1, 2, 3]
    assert experiments.in_project(two, 1).name == made[2].name
    projects.remove(account, one.number)
    with pytest.raises(NotFound):
        experiments.again(made[0])


def test_requests_in_each_state(experiments: Experiments, database: Database) -> None:
    row = experiments.create(None, SETTINGS)
    assert experiments.start(row).state == "queued" and experiments.has_work()
    with pytest.raises(Conflict):
        experiments.remove(row)
    assert experiments.pause(row).state == "paused"
    assert experiments.start(row).state == "queued"
    state(database, row, "running")
    assert experiments.active() == 1
    assert experiments.pause(row).request == "pause"
    assert experiments.change(row, ChangedTexts(), {"gamma": 0.9}).parameters["hyperparameters"] == {"gamma": 0.9}
    assert experiments.stop(row).request == "stop"
    assert experiments.pause(row).request == "stop"  # it cannot be revoked
    state(database, row, "failed")
    assert experiments.resume(row).request == ""
    state(database, row, "completed")
    with pytest.raises(Conflict, match="while the experiment is completed"):
        experiments.change(row, ChangedTexts(), {"gamma": 0.9})
    assert experiments.retry(row).request == "anew"
    other = experiments.start(experiments.create(None, SETTINGS))
    with pytest.raises(LimitReached):
        experiments.start(experiments.create(None, SETTINGS))
    state(database, row, "stopped")
    experiments.remove(row)
    assert experiments.again(other).state == "queued"


def test_a_paused_then_stopped_experiment_keeps_its_model(experiments: Experiments, database: Database) -> None:
    """Like an experiment stopped while running; its averages are kept too."""
    row = experiments.create(None, SETTINGS)
    folder = Folder(experiments.folder / row.name)
    with folder.new_checkpoint(128) as fresh:
        for name in ("model.zip", "normalize.pkl", "replay.pkl"):
            (fresh / name).write_text(f"{name} at 128")
    state(database, row, "paused")
    assert experiments.results(row)["model_path"] is None
    stopped = experiments.stop(row)
    assert (stopped.state, experiments.results(stopped)["model_path"]) == (
        "stopped",
        f"experiments/{row.name}/model.zip",
    )
    assert experiments.file(row, "model.zip").read_text() == "model.zip at 128"
    assert sorted(path.name for path in folder.path.iterdir()) == ["checkpoints", "model.zip", "normalize.pkl"]


def test_a_run_killed_while_stopping_keeps_its_last_checkpoint(tmp_path: Path) -> None:
    folder, row = Folder(tmp_path), Experiment(state="running", request="stop", reason="", attempts=1)
    with folder.new_checkpoint(128) as fresh:
        (fresh / "model.zip").write_text("at 128")
    conclude(row, folder, -9)
    assert row.state == "stopped" and (tmp_path / "model.zip").read_text() == "at 128"
    (tmp_path / "model.zip").write_text("the run's own")
    row.state, row.request = "running", "stop"
    conclude(row, folder, -9)
    assert (tmp_path / "model.zip").read_text() == "the run's own"


def test_a_projects_type_is_a_runners_name(account: int, database: Database) -> None:
    projects = Projects(database, ("sb3", "mine"))
    made = projects.create(account, title="p", description="", project_type="mine")
    assert projects.create(account, title="p", description="", project_type="SB3").project_type == "SB3"
    with pytest.raises(InvalidRequest, match="project_type must be one of sb3, mine, not 'nonsense'"):
        projects.create(account, title="p", description="", project_type="nonsense")
    with pytest.raises(InvalidRequest, match="project_type must be"):
        projects.change(account, made.number, project_type="nonsense")


def test_queued_experiments_are_counted_before_anything_runs(experiments: Experiments, database: Database) -> None:
    first, second = (experiments.start(experiments.create(None, SETTINGS)) for _ in range(2))
    assert (experiments.before(first), experiments.before(second)) == (0, 1)
    state(database, second, "running")
    assert experiments.before(first) == 1
