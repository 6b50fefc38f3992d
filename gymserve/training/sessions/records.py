"""Reports on rewards-api sessions: scores, the model's history and card, evaluations."""

import datetime
from collections.abc import Sequence

from gymserve.store.models import TrainingSession, now
from gymserve.training.experiments.metrics import MOST_POINTS, RETURN, Metrics
from gymserve.training.plan.states import ExperimentState
from gymserve.training.sessions.lifecycle import TrainingSessions


class Records:
    """Builds the reports. With fewer `points` than episodes, each score is the mean of an equal part of the training."""

    def __init__(self, sessions: TrainingSessions, metrics: Metrics) -> None:
        self.sessions, self.metrics = sessions, metrics

    def everything(self, row: TrainingSession, points: int = MOST_POINTS) -> dict[str, object]:
        """Return all documents of a session, under the names of the old server's files."""
        environment, agent, training = self.sessions.documents(row)
        scores = self._scores(row, points)
        return {
            "env_params": environment.to_dict(),
            "agent_params": agent.to_dict(),
            "training_params": training.to_dict(),
            "training_metrics": {"plot_scores": scores, "plot_mean_scores": means(scores)},
            "evaluation_metrics": {
                "session_id": row.name, "training": {}, "evaluation": {}, **row.evaluation,
            },
            "model_history": self._history(row, scores),
            "model_card": self._card(row),
        }  # fmt: skip

    def history(self, row: TrainingSession) -> dict[str, object]:
        """`{"last_created", "last_trained"}`."""
        return self._history(row, self._scores(row, MOST_POINTS))

    def _history(self, row: TrainingSession, scores: Sequence[float]) -> dict[str, object]:
        created: dict[str, object] = {}
        trained: dict[str, object] = {}
        if row.agent_at is not None:
            agent = row.agent
            created = date_and_time(row.agent_at) | {
                "loss": agent["loss_fn"],
                "optimizer": agent["optimizer"],
                "gamma": agent["gamma"],
                "epsilon": agent["epsilon"],
                "model_config": agent["model_configuration"],
            }
        experiment = self.sessions.experiment(row)
        if scores and experiment is not None:
            returns = (self.metrics.summary(each)["best_reward"] for each in self.sessions.trainings(row))
            record = max((each for each in returns if each is not None), default=None)
            results = {"record": record, "scores": scores, "mean_scores": means(scores)}
            trained = date_and_time(experiment.completed_at or now()) | results
        return {"last_created": created, "last_trained": trained}

    def _card(self, row: TrainingSession) -> dict[str, object]:
        """Describe the last kept model; `card` and `graph` are paths on the server."""
        model, experiment = self.sessions.newest_model(row), self.sessions.experiment(row)
        return {
            "model_id": model and model.name,
            "version": model and model.version,
            "status": experiment.state if experiment else ExperimentState.CREATED,
            "reason": experiment.reason if experiment else "",
            "card": model and f"/models/{model.name}/",
            "graph": f"/experiments/{experiment.name}/curve" if experiment else None,
        }

    def _scores(self, row: TrainingSession, points: int) -> list[float]:
        """List the returns of the last training's episodes."""
        experiment = self.sessions.experiment(row)
        if experiment is None:
            return []
        series = self.metrics.points(experiment.id, names=[RETURN], points=points)
        return [value for point in series if (value := point.values.get(RETURN)) is not None]


def means(scores: Sequence[float]) -> list[float]:
    """Return the running mean of the scores."""
    averages, total = [], 0.0
    for number, score in enumerate(scores, 1):
        total += score
        averages.append(total / number)
    return averages


def date_and_time(moment: datetime.datetime) -> dict[str, object]:
    """Format a time as the old server did, in UTC."""
    return {"date": moment.date().isoformat(), "time": moment.time().isoformat("microseconds")}
