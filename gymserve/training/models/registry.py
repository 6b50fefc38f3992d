"""The registry of models: trained by experiments, kept for use, with their history.

<data>/models/<id>/ contains model.zip, normalize.pkl if observations were normalised, and plan.json, the plan that trained it.
"""

import shutil
import time
import uuid
from pathlib import Path

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from gymserve.outside.bucket import Bucket
from gymserve.protocol.errors import Conflict, GymserveError, NotFound
from gymserve.store import Database
from gymserve.store.models import Experiment, Policy
from gymserve.system.files import replacing_folder
from gymserve.training.experiments.quota import Quota
from gymserve.training.models import best
from gymserve.training.plan.lineage import Parent
from gymserve.training.plan.training_plan import SB3, TrainingPlan
from gymserve.training.runners.folder import OLD_PLAN, PLAN, SPACES, Folder

FILES = ("model.zip", "normalize.pkl", SPACES, PLAN, OLD_PLAN)
BYTES = "application/octet-stream"
TYPES = {".zip": "application/zip", ".json": "application/json", ".onnx": BYTES, ".pkl": BYTES, ".svg": "image/svg+xml"}


def sweep(database: Database, folder: Path, days: float) -> None:
    """Delete the files of models without a row (such as a deleted account's) once they are `days` old."""
    if not folder.exists():
        return
    with database.reading() as session:
        known = set(session.scalars(select(Policy.name)))
    for path in folder.iterdir():
        if path.name not in known and path.stat().st_mtime < time.time() - days * 86400:
            shutil.rmtree(path, ignore_errors=True)


class Models:
    """The table of models and their files.

    Args:
        folder: the folder of all models.
        experiments: the folder of all experiments.
        bucket: where models are pushed; None if there is no bucket.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        experiments: Path,
        bucket: Bucket | None = None,
        quota: Quota | None = None,
    ) -> None:
        self.database, self.folder, self.experiments = database, folder, experiments
        self.bucket, self.quota = bucket, quota

    def keep(self, experiment: Experiment, title: str | None = None) -> Policy:
        """Copy an experiment's model into the registry, as the next version of a title (by default the experiment's).

        Raises:
            Conflict: the experiment has not left a model.
        """
        title = title or experiment.title
        source = self.experiments / experiment.name
        if experiment.runner != SB3 or not (source / "model.zip").exists():
            raise Conflict(f"the experiment is {experiment.state}, and has not left a model that can be used here")
        name, evaluation = str(uuid.uuid4()), experiment.results.get("evaluation", {})
        with replacing_folder(self.folder / name) as fresh:
            for file in FILES:
                if (source / file).exists():
                    shutil.copyfile(source / file, fresh / file)
            best.draw(self.database, experiment, fresh)
        details = {
            "plan": Folder(self.folder / name).training_plan().card(),
            "evaluation": evaluation,
            "timesteps": experiment.timesteps,
            "record": best.record(self.database, experiment, evaluation),
            **best.dates(experiment),
        }
        return self.register(
            name, experiment.account_id, title=title, experiment=experiment.name,
            algorithm=experiment.algorithm, details=details,
        )  # fmt: skip

    def register(
        self,
        name: str,
        account_id: int | None,
        *,
        title: str,
        experiment: str,
        algorithm: str,
        details: dict[str, object],
    ) -> Policy:
        """Register the files in the folder of this name as the next version of a title; delete them if that fails.

        Args:
            experiment: the name of the experiment that trained it, or "" for an uploaded model.
            details: `plan`, the plan that trained it; `evaluation`; `timesteps`.

        Raises:
            LimitReached: the account has too many models.
        """
        try:
            if self.quota is not None:
                self.quota.check(account_id, Policy)
            with self.database.writing() as session:
                version = (session.scalar(select(func.max(Policy.version)).where(*_titled(account_id, title))) or 0) + 1
                row = Policy(
                    name=name, account_id=account_id, title=title, version=version, experiment=experiment, algorithm=algorithm,
                    environment=TrainingPlan.from_dict(details["plan"]).env_id, details=details,
                )  # fmt: skip
                session.add(row)
        except GymserveError:
            shutil.rmtree(self.folder / name, ignore_errors=True)
            raise
        return row

    def find(self, name: str, account_id: int | None, *, sees_all: bool) -> Policy:
        """Return a model by its name.

        Raises:
            NotFound: there is none, or it belongs to another account.
        """
        with self.database.reading() as session:
            row = session.scalar(select(Policy).where(Policy.name == name)) if name.isascii() else None
        if row is None or not (sees_all or row.account_id == account_id):
            raise NotFound(f"there is no model {name:.100}")
        return row

    def parent(self, row: Policy) -> Parent:
        """Return the model as the parent of a new experiment."""
        folder = self.folder / row.name
        card = {
            "model_id": row.name,
            "title": row.title,
            "version": row.version,
            "experiment_id": row.experiment,
            "timesteps": row.details["timesteps"],
        }
        return Parent(card, row.algorithm, Folder(folder).training_plan(), folder)

    def push(self, row: Policy) -> list[str]:
        """Copy a model's files into the bucket and return their keys, `models/<id>/<file>`; existing files are overwritten.

        Raises:
            Conflict: there is no bucket.
            Unavailable: the bucket does not accept them.
        """
        if self.bucket is None:
            raise Conflict("this server has no bucket: its administrator can set one in S3_BUCKET")
        files = sorted(path for path in (self.folder / row.name).iterdir() if path.suffix in TYPES)
        keys = [f"models/{row.name}/{file.name}" for file in files]
        for key, file in zip(keys, files, strict=True):
            self.bucket.put(key, file, TYPES[file.suffix])
        return keys

    def list(self, account_id: int | None, *, sees_all: bool, skip: int, limit: int) -> tuple[int, list[Policy]]:
        """Return (total number, a page of models, newest first), of one account or of all."""
        own = () if sees_all else (Policy.account_id == account_id,)
        with self.database.reading() as session:
            total = session.scalar(select(func.count()).select_from(Policy).where(*own)) or 0
            query = select(Policy).where(*own).order_by(Policy.id.desc()).offset(skip).limit(limit)
            return total, list(session.scalars(query))

    def promote(self, row: Policy) -> Policy:
        """Mark this version as the one of its title to use."""
        with self.database.writing() as session:
            session.execute(update(Policy).where(*_titled(row.account_id, row.title)).values(is_promoted=False))
            return self._changed(session, row, is_promoted=True)

    def rename(self, row: Policy, title: str) -> Policy:
        """Move a model to another title, as its next version."""
        with self.database.writing() as session:
            same = _titled(row.account_id, title)
            version = (session.scalar(select(func.max(Policy.version)).where(*same)) or 0) + 1
            return self._changed(session, row, title=title, version=version, is_promoted=False)

    def remove(self, row: Policy) -> None:
        """Delete a model and its files."""
        with self.database.writing() as session:
            fresh = session.get(Policy, row.id)
            if fresh is not None:
                session.delete(fresh)
        shutil.rmtree(self.folder / row.name, ignore_errors=True)

    def graph(self, row: Policy) -> str:
        """Return the model's learning curve as a small SVG document.

        Raises:
            NotFound: there is none.
        """
        try:
            return (self.folder / row.name / best.GRAPH).read_text()
        except FileNotFoundError:
            raise NotFound(
                f"there is no learning curve of model {row.name}: it was trained elsewhere, or had no metrics"
            ) from None

    def file(self, row: Policy, name: str = "model.zip") -> Path:
        """Return the path of one of a model's files; `model.onnx` is written when it is first requested."""
        return self.folder / row.name / name

    @staticmethod
    def _changed(session: Session, row: Policy, **values: object) -> Policy:
        fresh = session.get(Policy, row.id)
        if fresh is None:
            raise NotFound(f"there is no model {row.name}")
        for name, value in values.items():
            setattr(fresh, name, value)
        session.flush()
        return fresh


def _titled(account_id: int | None, title: str) -> tuple[ColumnElement[bool], ...]:
    own = Policy.account_id.is_(None) if account_id is None else Policy.account_id == account_id
    return own, Policy.title == title
