"""The registry of models: what experiments have trained, kept for use, with where it came from.

<data>/models/<id>/ holds model.zip, normalize.pkl where observations were normalised, and plan.json: what it was trained by.
"""

import json
import shutil
import time
import uuid
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, update
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
    """Deletes the files of models that no row tells of, as of deleted accounts', once they are `days` old."""
    if not folder.exists():
        return
    with database.reading() as session:
        known = set(session.scalars(select(Policy.name)))
    for path in folder.iterdir():
        if path.name not in known and path.stat().st_mtime < time.time() - days * 86400:
            shutil.rmtree(path, ignore_errors=True)


class Models:
    """Args:
    folder: that of all models.
    experiments: that of all experiments.
    bucket: where models are pushed to; None: nowhere.
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
        """Takes an experiment's model into the registry, as the next version of its title (the experiment's, if none is given).

        Raises:
            Conflict: the experiment has not left a model.
        """
        title = title or experiment.title
        source = self.experiments / experiment.name
        if experiment.runner != SB3 or not (source / "model.zip").exists():
            raise Conflict(f"the experiment is {experiment.state}, and has left no model that can be used here")
        name, evaluation = str(uuid.uuid4()), json.loads(experiment.results).get("evaluation", {})
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
        self, name: str, account_id: int | None, *, title: str, experiment: str, algorithm: str, details: dict[str, Any]
    ) -> Policy:
        """Makes the files in a folder of this name the next version of a title; where that fails, they are deleted.

        Args:
            experiment: the name of the one that it is of; "": of none here.
            details: `plan`, what it was trained by; `evaluation`; `timesteps`.

        Raises:
            LimitReached: the account has too many.
        """
        try:
            if self.quota is not None:
                self.quota.check(account_id, Policy)
            with self.database.writing() as session:
                version = (session.scalar(select(func.max(Policy.version)).where(*_titled(account_id, title))) or 0) + 1
                row = Policy(
                    name=name, account_id=account_id, title=title, version=version, experiment=experiment, algorithm=algorithm,
                    environment=TrainingPlan.from_dict(details["plan"]).env_id, details=json.dumps(details),
                )  # fmt: skip
                session.add(row)
        except GymserveError:
            shutil.rmtree(self.folder / name, ignore_errors=True)
            raise
        return row

    def find(self, name: str, account_id: int | None, *, sees_all: bool) -> Policy:
        """Raises: NotFound: there is none, or it is another account's."""
        with self.database.reading() as session:
            row = session.scalar(select(Policy).where(Policy.name == name)) if name.isascii() else None
        if row is None or not (sees_all or row.account_id == account_id):
            raise NotFound(f"there is no model {name:.100}")
        return row

    def parent(self, row: Policy) -> Parent:
        """It, for an experiment that begins from it."""
        folder = self.folder / row.name
        card = {
            "model_id": row.name,
            "title": row.title,
            "version": row.version,
            "experiment_id": row.experiment,
            "timesteps": json.loads(row.details)["timesteps"],
        }
        return Parent(card, row.algorithm, Folder(folder).training_plan(), folder)

    def push(self, row: Policy) -> list[str]:
        """Copies its files into the bucket, and returns their keys, `models/<id>/<file>`; again: over those that are there.

        Raises:
            Conflict: there is no bucket.
            Unavailable: the bucket does not take them.
        """
        if self.bucket is None:
            raise Conflict("this server has no bucket: its administrator names one in S3_BUCKET")
        files = sorted(path for path in (self.folder / row.name).iterdir() if path.suffix in TYPES)
        keys = [f"models/{row.name}/{file.name}" for file in files]
        for key, file in zip(keys, files, strict=True):
            self.bucket.put(key, file, TYPES[file.suffix])
        return keys

    def list(self, account_id: int | None, *, sees_all: bool, skip: int, limit: int) -> tuple[int, list[Policy]]:
        """(how many there are, some of them, the newest first): one account's, or all."""
        mine = () if sees_all else (Policy.account_id == account_id,)
        with self.database.reading() as session:
            total = session.scalar(select(func.count()).select_from(Policy).where(*mine)) or 0
            query = select(Policy).where(*mine).order_by(Policy.id.desc()).offset(skip).limit(limit)
            return total, list(session.scalars(query))

    def promote(self, row: Policy) -> Policy:
        """Makes it the one of its title that is to be used."""
        with self.database.writing() as session:
            session.execute(update(Policy).where(*_titled(row.account_id, row.title)).values(is_promoted=False))
            return self._changed(session, row, is_promoted=True)

    def rename(self, row: Policy, title: str) -> Policy:
        """Moves it under another title, as its next version."""
        with self.database.writing() as session:
            same = _titled(row.account_id, title)
            version = (session.scalar(select(func.max(Policy.version)).where(*same)) or 0) + 1
            return self._changed(session, row, title=title, version=version, is_promoted=False)

    def remove(self, row: Policy) -> None:
        """Deletes it, and its files."""
        with self.database.writing() as session:
            found = session.get(Policy, row.id)
            if found is not None:
                session.delete(found)
        shutil.rmtree(self.folder / row.name, ignore_errors=True)

    def graph(self, row: Policy) -> str:
        """Its learning curve, as a small SVG document.

        Raises:
            NotFound: it has none.
        """
        try:
            return (self.folder / row.name / best.GRAPH).read_text()
        except FileNotFoundError:
            raise NotFound(
                f"there is no learning curve of model {row.name}: it was trained elsewhere, or has none"
            ) from None

    def file(self, row: Policy, name: str = "model.zip") -> Path:
        """One of its files: Stable-Baselines3's, or `model.onnx`, which is made when it is first asked for."""
        return self.folder / row.name / name

    @staticmethod
    def _changed(session: Session, row: Policy, **values: Any) -> Policy:
        found = session.get(Policy, row.id)
        if found is None:
            raise NotFound(f"there is no model {row.name}")
        for name, value in values.items():
            setattr(found, name, value)
        session.flush()
        return found


def _titled(account_id: int | None, title: str) -> tuple[Any, ...]:
    own = Policy.account_id.is_(None) if account_id is None else Policy.account_id == account_id
    return own, Policy.title == title
