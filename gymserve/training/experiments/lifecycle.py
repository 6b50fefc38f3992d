"""Experiments: creating, finding and changing them, and requesting state changes, which the scheduler carries out."""

import contextlib
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from gymserve.protocol import params, wire
from gymserve.protocol.errors import Conflict, GymserveError, LimitReached, NotFound
from gymserve.store import Database, rows_changed
from gymserve.store.models import Experiment, Project, now
from gymserve.training.experiments import listing
from gymserve.training.experiments.quota import Quota
from gymserve.training.plan import lineage
from gymserve.training.plan.checker import Checker
from gymserve.training.plan.lineage import Parent
from gymserve.training.plan.requests import ChangedTexts, Texts
from gymserve.training.plan.states import ACTIVE, FINAL, ExperimentState
from gymserve.training.plan.training_plan import SB3
from gymserve.training.runners.folder import Folder

LOOK_SECONDS = 0.05
UNFINISHED = tuple(state for state in ExperimentState if not state.is_final)


class Experiments:
    """The table of experiments.

    Args:
        folder: the folder that holds the experiments' folders.
        most: how many of an account's experiments may run or wait at a time; 0 forbids training.
    """

    def __init__(
        self, database: Database, checker: Checker, folder: Path, *, most: int, quota: Quota | None = None
    ) -> None:
        self.database, self.checker, self.folder, self.most, self.quota = database, checker, folder, most, quota

    def create(
        self,
        account_id: int | None,
        settings: Mapping[str, wire.JSONValue],
        *,
        runner: wire.JSONValue = SB3,
        project: Project | None = None,
        parent: Parent | None = None,
    ) -> Experiment:
        """Create an experiment; `start` runs it.

        Args:
            settings: title, description, hypothesis, tags, and what `Checker.check` reads.
            parent: the model that it starts from.

        Raises:
            Untrainable: the settings cannot be trained.
            InvalidRequest: a value is invalid.
            Conflict: the parent model is being deleted.
        """
        values = _columns(params.parse(settings, Texts)) | self.checker.check(runner, settings, parent)
        return self._add(account_id, project, values, parent.folder if parent else None)

    def begin(self, account_id: int | None, settings: wire.JSONObject, **more: Any) -> Experiment:  # Any: for `create`
        """Create an experiment (see `create`) and queue it (see `start`); if it cannot be queued, it is not created."""
        row = self.create(account_id, settings, **more)
        try:
            return self.start(row)
        except GymserveError:
            with contextlib.suppress(GymserveError):  # the database is away
                self.remove(row)
            raise

    def _add(
        self, account_id: int | None, project: Project | None, values: Mapping[str, object], files: Path | None
    ) -> Experiment:
        """Insert an experiment; `files` is the folder of its parent model's files, or None."""
        row = Experiment(name=str(uuid.uuid4()), account_id=account_id, state=ExperimentState.CREATED, **values)
        if self.quota is not None:
            self.quota.check(account_id, Experiment)
        try:
            if files is not None:
                lineage.copy_files(files, self.folder / row.name / lineage.FOLDER)
            with self.database.writing() as session:
                if project is not None:
                    own = Project.id == project.id
                    session.execute(update(Project).where(own).values(experiments_made=Project.experiments_made + 1))
                    row.project_id = project.id
                    row.number = session.scalar(select(Project.experiments_made).where(own))
                    if row.number is None:
                        raise NotFound(f"there is no project {project.number}")
                session.add(row)
        except (GymserveError, OSError):
            shutil.rmtree(self.folder / row.name, ignore_errors=True)
            raise
        return row

    def copy(self, row: Experiment, *, title: str | None = None, seed: int | None = None) -> Experiment:
        """Create an experiment with the same settings, in the same project if the original is in one."""
        names = (
            "title", "description", "hypothesis", "tags", "runner", "algorithm", "environment", "seed", "parameters",
        )  # fmt: skip
        values = {name: getattr(row, name) for name in names} | {"copy_of": row.name}
        values |= {name: value for name, value in (("title", title), ("seed", seed)) if value is not None}
        project = None
        if row.project_id is not None:
            with self.database.reading() as session:
                project = session.get(Project, row.project_id)
        files = self.folder / row.name / lineage.FOLDER
        return self._add(row.account_id, project, values, files if "parent_model" in row.parameters else None)

    def find(self, name: str | int, account_id: int | None, *, sees_all: bool) -> Experiment:
        """Return the experiment with this name or row id.

        Raises:
            NotFound: there is none, or it belongs to another account.
        """
        row, name = None, name if isinstance(name, str) or 0 < name < 2**31 else ""
        chosen = Experiment.id == name if isinstance(name, int) else Experiment.name == name
        with self.database.reading() as session:
            if isinstance(name, int) or len(name) == 36:
                row = session.scalar(select(Experiment).where(chosen))
        if row is None or not (sees_all or (row.account_id is not None and row.account_id == account_id)):
            raise NotFound(f"there is no experiment {name!s:.50}")
        return row

    def in_project(self, project: Project, number: int) -> Experiment:
        """Return a project's experiment by its number.

        Raises:
            NotFound: the project has no such experiment.
        """
        query = select(Experiment).where(Experiment.project_id == project.id, Experiment.number == number)
        with self.database.reading() as session:
            row = session.scalar(query) if 0 < number < 2**31 else None
        if row is None:
            raise NotFound(f"there is no experiment {number} of project {project.number}")
        return row

    def of_projects(self, project_ids: list[int], *, skip: int = 0, limit: int = 1000) -> dict[int, list[Experiment]]:
        """Map each project to its experiments, sorted by number."""
        experiments: dict[int, list[Experiment]] = {project_id: [] for project_id in project_ids}
        query = select(Experiment).where(Experiment.project_id.in_(project_ids)).order_by(Experiment.number)
        with self.database.reading() as session:
            for row in session.scalars(query.offset(skip).limit(limit)):
                experiments[row.project_id or 0].append(row)
        return experiments

    def list(
        self, account_id: int | None, *, sees_all: bool, filters: Mapping[str, str], skip: int = 0, limit: int = 100
    ) -> tuple[list[Experiment], int]:
        """Return (experiments, newest first; total number), of one account or of all.

        Args:
            filters: any of status, algorithm, environment, runner, tag, search (in title and description).

        Raises:
            InvalidRequest: the status is unknown.
        """
        chosen = listing.chosen(filters)
        if not sees_all:
            chosen.append(Experiment.account_id == account_id)
        query = select(Experiment).where(*chosen).order_by(Experiment.id.desc()).offset(skip).limit(limit)
        with self.database.reading() as session:
            total = session.scalar(select(func.count()).select_from(Experiment).where(*chosen)) or 0
            return list(session.scalars(query)), total

    def active(self) -> int:
        """Count the running experiments."""
        with self.database.reading() as session:
            return session.scalar(select(func.count()).where(Experiment.state == ExperimentState.RUNNING)) or 0

    def before(self, row: Experiment) -> int:
        """Count the other experiments that are running or were queued earlier."""
        running = Experiment.state == ExperimentState.RUNNING
        earlier = (Experiment.state == ExperimentState.QUEUED) & (Experiment.queued_at <= (row.queued_at or now()))
        with self.database.reading() as session:
            return session.scalar(select(func.count()).where(Experiment.id != row.id, running | earlier)) or 0

    def has_work(self) -> bool:
        """Return whether the scheduler has anything to do."""
        query = select(Experiment.id).where(Experiment.state.in_(ACTIVE)).limit(1)
        with self.database.reading() as session:
            return session.scalar(query) is not None

    def change(
        self, row: Experiment, texts: ChangedTexts, hyperparameters: dict[str, object] | None = None
    ) -> Experiment:
        """Change an experiment's texts, and its hyper-parameters for the next time that it starts.

        Raises:
            InvalidRequest, Untrainable: a value is invalid.
            Conflict: the experiment is running and not about to pause.
        """
        values = _columns(texts)
        if hyperparameters:  # checked before the row is locked, since this may try the plan
            values["parameters"] = self.checker.change(row, hyperparameters)
        with self.database.writing() as session:
            fresh = _get(session, row)
            if "parameters" in values:
                pauses = fresh.state == ExperimentState.RUNNING and fresh.request == "pause"
                is_free = fresh.state not in (*ACTIVE, ExperimentState.COMPLETED)
                if not (is_free or pauses):
                    raise Conflict(f"hyperparameters cannot be changed while the experiment is {fresh.state}: pause it")
                if fresh.parameters != row.parameters or fresh.started_at != row.started_at:
                    raise Conflict("the experiment has changed meanwhile: try again")
            for name, value in values.items():
                setattr(fresh, name, value)
        return fresh

    def remove(self, row: Experiment) -> None:
        """Delete an experiment with its files.

        Raises:
            Conflict: it is running or queued.
        """
        with self.database.writing() as session:
            idle = (Experiment.id == row.id, Experiment.state.notin_(ACTIVE))
            if not rows_changed(session, delete(Experiment).where(*idle)):
                raise Conflict("the experiment runs or waits: stop it before it is deleted")
        shutil.rmtree(self.folder / row.name, ignore_errors=True)

    def start(self, row: Experiment) -> Experiment:
        """Queue an experiment that was created, or resume a paused one.

        Raises:
            Conflict: it is running or has ended.
            LimitReached: the account has too many experiments that run or wait.
        """
        return self._queue(row, (ExperimentState.CREATED, ExperimentState.PAUSED), "train")

    def resume(self, row: Experiment) -> Experiment:
        """Resume a paused, stopped or failed experiment from its last checkpoint. Raises the same as `start`."""
        return self._queue(row, (ExperimentState.PAUSED, ExperimentState.STOPPED, ExperimentState.FAILED), "resume")

    def retry(self, row: Experiment) -> Experiment:
        """Start again from scratch, discarding the earlier metrics. Raises the same as `start`."""
        return self._queue(row, (*FINAL, ExperimentState.PAUSED), "retry", request="anew")

    def _queue(
        self, row: Experiment, states: tuple[ExperimentState, ...], verb: str, *, request: str = ""
    ) -> Experiment:
        with self.database.writing() as session:
            fresh = _get(session, row)
            if fresh.state not in states:
                raise Conflict(f"cannot {verb} an experiment that is {fresh.state}: it must be {' or '.join(states)}")
            owner = Experiment.account_id == row.account_id if row.account_id else Experiment.account_id.is_(None)
            waiting = select(func.count()).where(owner, Experiment.state.in_(ACTIVE))
            if (session.scalar(waiting) or 0) >= self.most:
                raise LimitReached(f"ACCOUNT_EXPERIMENTS = {self.most} experiments run or wait already: stop one first")
            fresh.state, fresh.request, fresh.reason, fresh.attempts = ExperimentState.QUEUED, request, "", 0
            fresh.queued_at, fresh.completed_at, fresh.exit_code = now(), None, None
        return fresh

    def pause(self, row: Experiment) -> Experiment:
        """Ask a running experiment to save its state and exit; a queued one is paused at once.

        Raises:
            Conflict: it is neither running nor queued, or its runner cannot pause.
        """
        if row.runner != SB3:
            raise Conflict(f"the runner {row.runner} cannot pause: stop it")
        return self._request(row, "pause", ExperimentState.PAUSED, ACTIVE)

    def stop(self, row: Experiment) -> Experiment:
        """Ask a running experiment to end, which stops it once its processes are gone; stop any other one at once.

        Raises:
            Conflict: it has ended.
        """
        stopped = self._request(row, "stop", ExperimentState.STOPPED, UNFINISHED)
        if stopped.state == ExperimentState.STOPPED:
            with contextlib.suppress(OSError):  # no space for the copy; the checkpoint remains
                Folder(self.folder / row.name).keep_learned()
        return stopped

    def _request(
        self, row: Experiment, request: str, state: ExperimentState, states: tuple[ExperimentState, ...]
    ) -> Experiment:
        with self.database.writing() as session:
            fresh = _get(session, row)
            if fresh.state not in states:
                raise Conflict(f"cannot {request} an experiment that is {fresh.state}")
            if fresh.state == ExperimentState.RUNNING:
                if fresh.request not in ("stop", "end"):  # these cannot be revoked
                    fresh.request = request
            else:
                fresh.state, fresh.request = state, ""
                fresh.completed_at = now() if state.is_final else None
        return fresh

    def settled(self, row: Experiment, seconds: float) -> Experiment:
        """Wait until the experiment has no pending request, at most `seconds`, and return its newest row."""
        deadline = time.monotonic() + seconds
        while (fresh := self.again(row)).request and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        return fresh

    def again(self, row: Experiment) -> Experiment:
        """Return the experiment's current row.

        Raises:
            NotFound: it was deleted.
        """
        with self.database.reading() as session:
            fresh = session.get(Experiment, row.id)
        if fresh is None:
            raise NotFound(f"there is no experiment {row.name}")
        return fresh

    def results(self, row: Experiment) -> wire.JSONObject:
        """Return the final evaluation, and the paths of the model (in the data directory) and of the curve, or None."""
        model = self.folder / row.name / "model.zip"
        return {
            "final_evaluation": row.results.get("evaluation", {}),
            "model_path": f"experiments/{row.name}/model.zip" if model.is_file() else None,
            "graph_path": f"experiments/{row.name}/curve" if row.timesteps else None,
        }

    def file(self, row: Experiment, name: str) -> Path:
        """Return the path of one of the experiment's files.

        Raises:
            NotFound: the file does not exist yet.
        """
        path = self.folder / row.name / name
        if not path.is_file():
            raise NotFound(f"there is no {name} of experiment {row.name} yet")
        return path


def _get(session: Session, row: Experiment) -> Experiment:
    """Return the current row, locked."""
    fresh = session.get(Experiment, row.id, with_for_update=True)
    if fresh is None:
        raise NotFound(f"there is no experiment {row.name}")
    return fresh


def _columns(texts: Texts | ChangedTexts) -> dict[str, object]:
    """Convert texts to columns, leaving out those that are None."""
    values = {name: value for name, value in msgspec.structs.asdict(texts).items() if value is not None}
    return values | ({"tags": listing.joined(values["tags"])} if "tags" in values else {})
