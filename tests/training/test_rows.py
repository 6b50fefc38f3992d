"""Experiments as rows, on each kind of database."""

import json
from pathlib import Path

import pytest

from gymserve.environments import Catalogue
from gymserve.errors import Conflict, LimitReached, NotFound
from gymserve.settings import Settings
from gymserve.store import Database
from gymserve.store.models import Account, Experiment
from gymserve.training.experiments import Experiments
from gymserve.training.orders import Checker
from gymserve.training.projects import Projects

ASKED = {"title": "first", "algorithm": "PPO", "environment": "CartPole-v1", "seed": 2**32 - 1, "tags": ["a", "b"]}


@pytest.fixture
def experiments(database: Database, tmp_path: Path) -> Experiments:
    catalogue = Catalogue()
    return Experiments(database, Checker(Settings(), catalogue, {}, catalogue.spaces), tmp_path, most=2)


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
    row = experiments.create(account, ASKED)
    nobodys = experiments.create(None, {**ASKED, "title": "Öther_%"})
    assert experiments.find(row.name, account, sees_all=False).seed == 2**32 - 1
    for name, who in ((nobodys.name, account), (row.name, account + 1), (row.name, None), ("x" * 36, account)):
        with pytest.raises(NotFound):
            experiments.find(name, who, sees_all=False)
    found, total = experiments.list(None, sees_all=True, filters={"tag": "b", "search": "THER_%"})
    assert ([each.name for each in found], total) == ([nobodys.name], 1)
    found, total = experiments.list(account, sees_all=False, filters={"algorithm": "ppo", "status": "created"})
    assert ([each.name for each in found], total) == ([row.name], 1)


def test_what_cannot_be_queued_is_not_made(experiments: Experiments, account: int, database: Database) -> None:
    project = Projects(database).create(account, title="p", description="", project_type="sb3")
    made = [experiments.begin(account, ASKED, project=project) for _ in range(2)]
    with pytest.raises(LimitReached):
        experiments.begin(account, ASKED, project=project)
    assert [row.id for row in experiments.of_projects([project.id])[project.id]] == [row.id for row in made]


def test_numbers_count_within_a_project(experiments: Experiments, account: int, database: Database) -> None:
    projects = Projects(database)
    one, two = (projects.create(account, title="p", description="", project_type="sb3") for _ in range(2))
    made = [experiments.create(account, ASKED, project=project) for project in (one, one, two)]
    assert [row.number for row in made] == [1, 2, 1]
    assert experiments.copy(made[0]).number == 3
    assert [row.number for row in experiments.of_projects([one.id])[one.id]] == [1, 2, 3]
    assert experiments.in_project(two, 1).name == made[2].name
    projects.remove(account, one.number)
    with pytest.raises(NotFound):
        experiments.again(made[0])


def test_what_is_wished_of_each_state(experiments: Experiments, database: Database) -> None:
    row = experiments.create(None, ASKED)
    assert experiments.start(row).state == "queued" and experiments.has_work()
    with pytest.raises(Conflict):
        experiments.remove(row)
    assert experiments.pause(row).state == "paused"
    assert experiments.start(row).state == "queued"
    state(database, row, "running")
    assert experiments.active() == 1
    assert experiments.pause(row).wish == "pause"
    assert json.loads(experiments.change(row, {"hyperparameters": {"gamma": 0.9}}).parameters)["hyperparameters"] == {
        "gamma": 0.9
    }
    assert experiments.stop(row).wish == "stop"
    assert experiments.pause(row).wish == "stop"  # nothing takes it back
    state(database, row, "failed")
    assert experiments.resume(row).wish == ""
    state(database, row, "completed")
    with pytest.raises(Conflict, match="while the experiment is completed"):
        experiments.change(row, {"hyperparameters": {"gamma": 0.9}})
    assert experiments.retry(row).wish == "anew"
    other = experiments.start(experiments.create(None, ASKED))
    with pytest.raises(LimitReached):
        experiments.start(experiments.create(None, ASKED))
    state(database, row, "stopped")
    experiments.remove(row)
    assert experiments.again(other).state == "queued"
