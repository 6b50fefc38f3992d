"""Quotas on what an account may keep of training."""

import os
from pathlib import Path

import pytest

from gymserve.protocol.errors import LimitReached, StorageFull
from gymserve.store import Database
from gymserve.store.models import Account, Experiment, Policy, Project
from gymserve.training.experiments.projects import Projects
from gymserve.training.experiments.quota import Quota
from gymserve.training.models.registry import Models, sweep
from gymserve.training.playing.assignments import Assignment, Assignments


def account(database: Database, name: str) -> int:
    with database.writing() as session:
        session.add(row := Account(email=name, email_key=name, password_hash="-", role="participant"))
    return row.id


@pytest.mark.guarantee("an account fills the disk, whatever it uses for that")
@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_an_account_may_keep_a_limited_number(database: Database, tmp_path: Path) -> None:
    one, other = account(database, "one"), account(database, "other")
    quota = Quota(database, tmp_path, kept=2, megabytes=3)
    projects = Projects(database, ["sb3"], quota)
    for title in ("a", "b"):
        projects.create(one, title=title, description="", project_type="sb3")
    with pytest.raises(LimitReached, match="ACCOUNT_KEPT = 2 projects"):
        projects.create(one, title="c", description="", project_type="sb3")
    projects.create(other, title="c", description="", project_type="sb3")
    quota.check(None, Project)
    with database.writing() as session:
        session.add(Experiment(name="long", account_id=one, title="t", runner="sb3", state="created", parameters={}))
    quota.check(one, Experiment)
    log = tmp_path / "experiments" / "long" / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_bytes(bytes(4 << 20))
    for kind in (Experiment, Policy):
        with pytest.raises(LimitReached, match="ACCOUNT_STORAGE_MB = 3"):
            quota.check(one, kind)
        quota.check(other, kind)
    log.unlink()
    quota.check(one, Policy)


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_model_that_cannot_be_registered_leaves_no_files(database: Database, tmp_path: Path) -> None:
    models = Models(database, tmp_path / "models", tmp_path, quota=Quota(database, tmp_path, kept=0))
    (tmp_path / "models" / "new").mkdir(parents=True)
    with pytest.raises(LimitReached, match="0 models"):
        models.register("new", account(database, "one"), title="t", experiment="", algorithm="PPO", details={})
    assert not list((tmp_path / "models").iterdir())


def test_disk_space_is_reserved_before_a_submission_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assignments, assignment = Assignments(tmp_path), Assignment("submission", "token", "model")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with assignments.room() as room, monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)  # the disk fills up while the submission begins
        assignments.fill(room, assignment)
    assert assignments.waiting() == [assignment]
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(StorageFull, match="No space"), assignments.room():
            raise AssertionError("a submission would begin here")
    assert [path.name for path in tmp_path.iterdir()] == ["submission"]


@pytest.mark.guarantee("an account fills the disk, whatever it uses for that")
@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_files_of_deleted_accounts_models_are_deleted(database: Database, tmp_path: Path) -> None:
    tmp_path = tmp_path / "models"
    owner = account(database, "one")
    with database.writing() as session:
        names = {"experiment": "", "algorithm": "PPO", "environment": "CartPole-v1", "details": {}}
        session.add(Policy(name="kept", account_id=owner, title="t", version=1, **names))
    for name in ("kept", "old", "young"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("kept", "old"):
        os.utime(tmp_path / name, (0, 0))
    sweep(database, tmp_path, 7.0)
    assert {path.name for path in tmp_path.iterdir()} == {"kept", "young"}
