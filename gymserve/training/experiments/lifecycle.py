"""Experiments: created, found, changed, and what they are to become. The scheduler makes it so."""

import contextlib
import json
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from gymserve.protocol import params
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
from gymserve.training.plan.stored import parameters_of
from gymserve.training.plan.training_plan import SB3
from gymserve.training.runners.folder import Folder

LOOK_SECONDS = 0.05
UNFINISHED = tuple(state for state in ExperimentState if not state.is_final)


class Experiments:
    """Args:
    folder: that of all experiments.
    most: experiments of one account that run or wait; 0: none.
    """

    def __init__(
        self, database: Database, checker: Checker, folder: Path, *, most: int, quota: Quota | None = None
    ) -> None:
        self.database, self.checker, self.folder, self.most, self.quota = database, checker, folder, most, quota

    def create(
        self,
        account_id: int | None,
        asked: Mapping[str, Any],
        *,
        runner: Any = SB3,
        project: Project | None = None,
        parent: Parent | None = None,
    ) -> Experiment:
        """Makes an experiment, which is started by `start`.

        Args:
            asked: title, description, hypothesis, tags, and what `Checker.check` reads.
            parent: the model that it begins from.

        Raises:
            Untrainable: it could not be trained.
            InvalidRequest: a value is no good.
            Conflict: the model is being deleted.
        """
        values = _columns(params.parse(asked, Texts)) | self.checker.check(runner, asked, parent)
        return self._add(account_id, project, values, parent.folder if parent else None)

    def begin(self, account_id: int | None, asked: Mapping[str, Any], **more: Any) -> Experiment:
        """Makes an experiment (see `create`) and queues it; one that cannot be queued is not made. Raises as both."""
        row = self.create(account_id, asked, **more)
        try:
            return self.start(row)
        except GymserveError:
            with contextlib.suppress(GymserveError):  # the database went away
                self.remove(row)
            raise

    def _add(
        self, account_id: int | None, project: Project | None, values: dict[str, Any], files: Path | None
    ) -> Experiment:
        """Args: files: the folder of those that it begins from, if there are any."""
        row = Experiment(name=str(uuid.uuid4()), account_id=account_id, state=ExperimentState.CREATED, **values)
        if self.quota is not None:
            self.quota.check(account_id, Experiment)
        try:
            if files is not None:
                lineage.copy_files(files, self.folder / row.name / lineage.FOLDER)
            with self.database.writing() as session:
                if project is not None:
                    mine = Project.id == project.id
                    session.execute(update(Project).where(mine).values(experiments_made=Project.experiments_made + 1))
                    row.project_id = project.id
                    row.number = session.scalar(select(Project.experiments_made).where(mine))
                    if row.number is None:
                        raise NotFound(f"there is no project {project.number}")
                session.add(row)
        except (GymserveError, OSError):
            shutil.rmtree(self.folder / row.name, ignore_errors=True)
            raise
        return row

    def copy(self, row: Experiment, *, title: str | None = None, seed: int | None = None) -> Experiment:
        """A new experiment that is told the same; outside of any project unless the original is in one."""
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
        return self._add(row.account_id, project, values, files if "parent_model" in parameters_of(row) else None)

    # --- finding ----------------------------------------------------------------------------------------------------

    def find(self, name: str | int, account_id: int | None, *, sees_all: bool) -> Experiment:
        """The experiment of this name, or of this row.

        Raises:
            NotFound: there is none, or it is another account's.
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
        """Raises: NotFound: the project has none of this number."""
        query = select(Experiment).where(Experiment.project_id == project.id, Experiment.number == number)
        with self.database.reading() as session:
            row = session.scalar(query) if 0 < number < 2**31 else None
        if row is None:
            raise NotFound(f"there is no experiment {number} of project {project.number}")
        return row

    def of_projects(self, project_ids: list[int], *, skip: int = 0, limit: int = 1000) -> dict[int, list[Experiment]]:
        """Project → its experiments, by their numbers."""
        found: dict[int, list[Experiment]] = {project_id: [] for project_id in project_ids}
        query = select(Experiment).where(Experiment.project_id.in_(project_ids)).order_by(Experiment.number)
        with self.database.reading() as session:
            for row in session.scalars(query.offset(skip).limit(limit)):
                found[row.project_id or 0].append(row)
        return found

    def list(
        self, account_id: int | None, *, sees_all: bool, filters: Mapping[str, str], skip: int = 0, limit: int = 100
    ) -> tuple[list[Experiment], int]:
        """(Experiments, newest first; how many there are in all), of the account or of everybody.

        Args:
            filters: any of status, algorithm, environment, runner, tag, search (in the title and the description).

        Raises:
            InvalidRequest: there is no such state.
        """
        chosen = listing.chosen(filters)
        if not sees_all:
            chosen.append(Experiment.account_id == account_id)
        query = select(Experiment).where(*chosen).order_by(Experiment.id.desc()).offset(skip).limit(limit)
        with self.database.reading() as session:
            total = session.scalar(select(func.count()).select_from(Experiment).where(*chosen)) or 0
            return list(session.scalars(query)), total

    def active(self) -> int:
        """How many run."""
        with self.database.reading() as session:
            return session.scalar(select(func.count()).where(Experiment.state == ExperimentState.RUNNING)) or 0

    def before(self, row: Experiment) -> int:
        """How many others run, or wait since before this one does."""
        running = Experiment.state == ExperimentState.RUNNING
        earlier = (Experiment.state == ExperimentState.QUEUED) & (Experiment.queued_at <= (row.queued_at or now()))
        with self.database.reading() as session:
            return session.scalar(select(func.count()).where(Experiment.id != row.id, running | earlier)) or 0

    def has_work(self) -> bool:
        """Whether there is anything for the scheduler."""
        query = select(Experiment.id).where(Experiment.state.in_(ACTIVE)).limit(1)
        with self.database.reading() as session:
            return session.scalar(query) is not None

    # --- changing ---------------------------------------------------------------------------------------------------

    def change(self, row: Experiment, texts: ChangedTexts, hyperparameters: dict[str, Any] | None = None) -> Experiment:
        """Changes what it is called; and hyper-parameters, for the next time that it starts.

        Raises:
            InvalidRequest, Untrainable: a value is no good.
            Conflict: it runs, and is not about to pause.
        """
        values = _columns(texts)
        if hyperparameters:  # before the row is locked: it is tried
            values["parameters"] = self.checker.change(row, hyperparameters)
        with self.database.writing() as session:
            fresh = _get(session, row)
            if "parameters" in values:
                pauses = fresh.state == ExperimentState.RUNNING and fresh.wish == "pause"
                is_free = fresh.state not in (*ACTIVE, ExperimentState.COMPLETED)
                if not (is_free or pauses):
                    raise Conflict(f"hyperparameters cannot be changed while the experiment is {fresh.state}: pause it")
                if fresh.parameters != row.parameters or fresh.started_at != row.started_at:
                    raise Conflict("the experiment has changed meanwhile: try again")
            for name, value in values.items():
                setattr(fresh, name, value)
        return fresh

    def remove(self, row: Experiment) -> None:
        """Raises: Conflict: it runs."""
        with self.database.writing() as session:
            mine = (Experiment.id == row.id, Experiment.state.notin_(ACTIVE))
            if not rows_changed(session, delete(Experiment).where(*mine)):
                raise Conflict("the experiment runs or waits: stop it before it is deleted")
        shutil.rmtree(self.folder / row.name, ignore_errors=True)

    # --- what it is to become -----------------------------------------------------------------------------------------

    def start(self, row: Experiment) -> Experiment:
        """Queues one that was created, or goes on with one that is paused.

        Raises:
            Conflict: it runs, or has ended.
            LimitReached: the account has too many experiments that run or wait.
        """
        return self._queue(row, (ExperimentState.CREATED, ExperimentState.PAUSED), "train")

    def resume(self, row: Experiment) -> Experiment:
        """Goes on with one that is paused, was stopped or has failed, from its last checkpoint.

        Raises: as `start`.
        """
        return self._queue(row, (ExperimentState.PAUSED, ExperimentState.STOPPED, ExperimentState.FAILED), "resume")

    def retry(self, row: Experiment) -> Experiment:
        """Begins again from nothing, with the metrics of the last time forgotten.

        Raises: as `start`.
        """
        return self._queue(row, (*FINAL, ExperimentState.PAUSED), "retry", wish="anew")

    def _queue(self, row: Experiment, states: tuple[ExperimentState, ...], verb: str, *, wish: str = "") -> Experiment:
        with self.database.writing() as session:
            fresh = _get(session, row)
            if fresh.state not in states:
                raise Conflict(f"cannot {verb} an experiment that is {fresh.state}: it must be {' or '.join(states)}")
            owner = Experiment.account_id == row.account_id if row.account_id else Experiment.account_id.is_(None)
            waiting = select(func.count()).where(owner, Experiment.state.in_(ACTIVE))
            if (session.scalar(waiting) or 0) >= self.most:
                raise LimitReached(f"ACCOUNT_EXPERIMENTS = {self.most} experiments run or wait already: stop one first")
            fresh.state, fresh.wish, fresh.reason, fresh.attempts = ExperimentState.QUEUED, wish, "", 0
            fresh.queued_at, fresh.completed_at, fresh.exit_code = now(), None, None
        return fresh

    def pause(self, row: Experiment) -> Experiment:
        """Asks one that runs to keep its state and end its process; one that waits is paused at once.

        Raises:
            Conflict: it neither runs nor waits, or its runner cannot pause.
        """
        if row.runner != SB3:
            raise Conflict(f"the runner {row.runner} cannot pause: stop it")
        return self._wish(row, "pause", ExperimentState.PAUSED, ACTIVE)

    def stop(self, row: Experiment) -> Experiment:
        """Asks one that runs to end; it is stopped when its processes are dead. One that does not run is so at once.

        Raises:
            Conflict: it has ended.
        """
        stopped = self._wish(row, "stop", ExperimentState.STOPPED, UNFINISHED)
        if stopped.state == ExperimentState.STOPPED:
            with contextlib.suppress(OSError):  # a full disk has no copy; the checkpoint stays
                Folder(self.folder / row.name).keep_learned()
        return stopped

    def _wish(
        self, row: Experiment, wish: str, state: ExperimentState, states: tuple[ExperimentState, ...]
    ) -> Experiment:
        with self.database.writing() as session:
            fresh = _get(session, row)
            if fresh.state not in states:
                raise Conflict(f"cannot {wish} an experiment that is {fresh.state}")
            if fresh.state == ExperimentState.RUNNING:
                if fresh.wish not in ("stop", "end"):  # which nothing takes back
                    fresh.wish = wish
            else:
                fresh.state, fresh.wish = state, ""
                fresh.completed_at = now() if state.is_final else None
        return fresh

    def settled(self, row: Experiment, seconds: float) -> Experiment:
        """The experiment as soon as nothing is wished of it any more, or after `seconds`."""
        deadline = time.monotonic() + seconds
        while (fresh := self.again(row)).wish and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        return fresh

    def again(self, row: Experiment) -> Experiment:
        """The experiment as it is now.

        Raises:
            NotFound: it was deleted.
        """
        with self.database.reading() as session:
            fresh = session.get(Experiment, row.id)
        if fresh is None:
            raise NotFound(f"there is no experiment {row.name}")
        return fresh

    def results(self, row: Experiment) -> dict[str, Any]:
        """The final evaluation, and where the model (below the data directory) and the curve (below the server's address) are;
        null where there is nothing."""
        model = self.folder / row.name / "model.zip"
        return {
            "final_evaluation": json.loads(row.results).get("evaluation", {}),
            "model_path": f"experiments/{row.name}/model.zip" if model.is_file() else None,
            "graph_path": f"experiments/{row.name}/curve" if row.timesteps else None,
        }

    def file(self, row: Experiment, name: str) -> Path:
        """A file of the experiment's.

        Raises:
            NotFound: there is none yet.
        """
        path = self.folder / row.name / name
        if not path.is_file():
            raise NotFound(f"there is no {name} of experiment {row.name} yet")
        return path


def _get(session: Session, row: Experiment) -> Experiment:
    """The row as it is now, locked."""
    fresh = session.get(Experiment, row.id, with_for_update=True)
    if fresh is None:
        raise NotFound(f"there is no experiment {row.name}")
    return fresh


def _columns(texts: Texts | ChangedTexts) -> dict[str, Any]:
    """Texts as a row keeps them; without those that are None."""
    values = {name: value for name, value in msgspec.structs.asdict(texts).items() if value is not None}
    return values | ({"tags": listing.joined(values["tags"])} if "tags" in values else {})
