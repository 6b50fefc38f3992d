"""Sessions of rewards-api: named parameters, their experiment, and how well its model drives."""

import contextlib
import hashlib
from collections.abc import Sequence

import msgspec
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.exc import IntegrityError

from gymserve.environments.car_race.tracks import TRACKS
from gymserve.protocol.errors import Conflict, InvalidRequest, LimitReached, NotFound
from gymserve.store import Database, rows_changed
from gymserve.store.models import Experiment, Policy, TrainingSession, now
from gymserve.training.experiments.lifecycle import Experiments
from gymserve.training.models.registry import Models
from gymserve.training.plan.states import ExperimentState
from gymserve.training.sessions import parameters
from gymserve.training.sessions.parameters import (
    Documents,
    SessionAgent,
    SessionDocument,
    SessionEnvironment,
    SessionTraining,
)

MOST = 1000  # sessions per account
COLUMNS = {SessionEnvironment: "environment", SessionAgent: "agent", SessionTraining: "training"}


class TrainingSessions:
    """The table of sessions; session names are unique per account."""

    def __init__(self, database: Database, experiments: Experiments, models: Models) -> None:
        self.database, self.experiments, self.models = database, experiments, models

    def create(self, account_id: int | None, name: str) -> TrainingSession:
        """Create a session.

        Raises:
            InvalidRequest: the name is invalid.
            Conflict: the account already has a session of this name.
            LimitReached: the account has too many sessions.
        """
        row = TrainingSession(key=_key(account_id, name), account_id=account_id, name=name)
        with self.database.writing() as session:
            duplicate = Conflict(f"there is a session {name:.50} already: session_id must be unique")
            if session.scalar(select(TrainingSession.id).where(TrainingSession.key == row.key)):
                raise duplicate
            if (session.scalar(select(func.count()).where(self._of(account_id))) or 0) >= MOST:
                raise LimitReached(f"an account has at most {MOST} sessions: delete some")
            session.add(row)
            try:
                session.flush()
            except IntegrityError:
                raise duplicate from None
        return row

    def find(self, account_id: int | None, name: str) -> TrainingSession:
        """Return an account's session by its name.

        Raises:
            InvalidRequest: this cannot be a session's name.
            NotFound: the account has no session of this name.
        """
        with self.database.reading() as session:
            row = session.scalar(select(TrainingSession).where(TrainingSession.key == _key(account_id, name)))
        if row is None:
            raise NotFound(f"there is no session {name:.50}")
        return row

    def of(self, account_id: int | None) -> list[TrainingSession]:
        """Return an account's sessions, newest first."""
        with self.database.reading() as session:
            query = select(TrainingSession).where(self._of(account_id)).order_by(TrainingSession.id.desc())
            return list(session.scalars(query.limit(MOST)))

    @staticmethod
    def _of(account_id: int | None) -> ColumnElement[bool]:
        own = TrainingSession.account_id
        return own.is_(None) if account_id is None else own == account_id

    def best(self) -> Sequence[TrainingSession]:
        """Return the evaluated sessions of all accounts, best first; the earlier one wins a tie."""
        query = select(TrainingSession).where(TrainingSession.score.is_not(None))
        with self.database.reading() as session:
            return list(
                session.scalars(query.order_by(TrainingSession.score.desc(), TrainingSession.id).limit(MOST // 10))
            )

    def rank(self, row: TrainingSession) -> int | None:
        """Return a session's rank on the leaderboard; None if it was not evaluated."""
        if row.score is None:
            return None
        equal = (TrainingSession.score == row.score) & (TrainingSession.id < row.id)
        query = select(func.count()).select_from(TrainingSession).where((TrainingSession.score > row.score) | equal)
        with self.database.reading() as session:
            return 1 + (session.scalar(query) or 0)

    def write(self, row: TrainingSession, document: SessionDocument) -> TrainingSession:
        """Save a checked document."""
        with self.database.writing() as session:
            fresh = session.get(TrainingSession, row.id)
            if fresh is None:
                raise NotFound(f"there is no session {row.name:.50}")
            setattr(fresh, COLUMNS[type(document)], document.to_dict())
            if isinstance(document, SessionAgent):
                fresh.agent_at = now()
        return fresh

    def remove(self, row: TrainingSession) -> None:
        """Delete a session with its experiments and models.

        Raises:
            Conflict: it is being trained.
        """
        experiments = self._experiments(row)
        models = self._models(experiments)
        for experiment in experiments:
            self.experiments.remove(experiment)
        for model in models:
            self.models.remove(model)
        with self.database.writing() as session:
            fresh = session.get(TrainingSession, row.id)
            if fresh is not None:
                session.delete(fresh)

    def experiment(self, row: TrainingSession) -> Experiment | None:
        """Return the last experiment; None if there was none or it was deleted."""
        with contextlib.suppress(NotFound):
            return self.experiments.find(row.experiment, None, sees_all=True)
        return None

    def train(self, row: TrainingSession, *, retrain: bool = False) -> Experiment:
        """Return the session's active experiment, or start a new one.

        Args:
            retrain: continue from what the last one has learned.

        Raises:
            Conflict: nothing has been learned yet.
            Untrainable: the session cannot be trained.
            LimitReached: the account has too many experiments that run or wait.
        """
        running = self.experiment(row)
        if running is not None and ExperimentState(running.state).is_active:
            return running
        settings = parameters.experiment(self.documents(row), retrain=retrain)
        settings |= {"title": row.name, "tags": ["rewards", _tag(row)]}
        parent = self.models.parent(self.model(row)) if retrain else None
        made = self.experiments.create(row.account_id, settings, parent=parent)
        with self.database.writing() as session:
            unchanged = TrainingSession.id == row.id, TrainingSession.experiment == row.experiment
            is_ours = rows_changed(session, update(TrainingSession).where(*unchanged).values(experiment=made.name))
        if not is_ours:  # another request was faster
            self.experiments.remove(made)
            return self.train(self.find(row.account_id, row.name), retrain=retrain)
        row.experiment = made.name
        try:
            return self.experiments.start(made)
        except LimitReached:
            self.experiments.remove(made)
            raise

    def documents(self, row: TrainingSession) -> Documents:
        """Return a session's parameters, with defaults for those not written yet."""
        return Documents(
            msgspec.convert(row.environment, SessionEnvironment),
            msgspec.convert(row.agent, SessionAgent),
            msgspec.convert(row.training, SessionTraining),
        )

    def model(self, row: TrainingSession) -> Policy:
        """Return the model of the last training; while another training runs, that of the one before.

        Raises:
            Conflict: there is none yet.
        """
        newest, trained = self.newest_model(row), self.experiment(row)
        if newest is not None and (
            trained is None or newest.experiment == trained.name or ExperimentState(trained.state).is_active
        ):
            return newest
        if trained is None or not (self.experiments.folder / trained.name / "model.zip").exists():
            if newest is not None:
                return newest
            raise Conflict("the session has left no model yet: train it first (GET /api/v1/stream)")
        return self.models.keep(trained, row.name)

    def trainings(self, row: TrainingSession) -> list[Experiment]:
        """Return all experiments of a session, newest first."""
        return self._experiments(row)

    def newest_model(self, row: TrainingSession) -> Policy | None:
        """Return the newest kept model; None if there is none."""
        return next(iter(self._models(self._experiments(row))), None)

    def evaluated(
        self, row: TrainingSession, *, mode: str, track: int, steps: Sequence[int], seconds: float
    ) -> TrainingSession:
        """Record an evaluation: the `steps` that each trial survived, and the seconds that it took."""
        with self.database.writing() as session:
            fresh = session.get(TrainingSession, row.id, with_for_update=True)
            if fresh is None:
                raise NotFound(f"there is no session {row.name:.50}")
            section = fresh.evaluation.get(mode, {"total_elapsed_time": 0.0})
            section = {
                **section,
                "total_elapsed_time": round(section["total_elapsed_time"] + seconds, 3),
                str(track): {"num_trials": len(steps), "record": max(steps), "mean": round(sum(steps) / len(steps), 3)},
            }
            fresh.evaluation = {**fresh.evaluation, mode: section}
            if mode == "evaluation":
                tracks = [section.get(str(each), {"mean": 0.0})["mean"] for each in TRACKS]
                fresh.score = sum(tracks) / len(tracks)
        return fresh

    def _experiments(self, row: TrainingSession) -> list[Experiment]:
        experiments, _ = self.experiments.list(None, sees_all=True, filters={"tag": _tag(row)}, limit=10_000)
        return [each for each in experiments if each.account_id == row.account_id]

    def _models(self, experiments: Sequence[Experiment]) -> Sequence[Policy]:
        """Return the models kept from these experiments, newest first."""
        theirs = Policy.experiment.in_([each.name for each in experiments])
        with self.database.reading() as session:
            return list(session.scalars(select(Policy).where(theirs).order_by(Policy.id.desc())))


def _tag(row: TrainingSession) -> str:
    return f"session.{row.id}"


def _key(account_id: int | None, name: str) -> str:
    """Return the unique key of an account's session name.

    Raises:
        InvalidRequest: this cannot be a session's name.
    """
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise InvalidRequest("session_id contains control characters")
    return hashlib.sha256(f"{account_id or 0}:{name}".encode()).hexdigest()
