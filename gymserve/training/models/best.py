"""The training history on a model's card: its record, its dates, and a small picture of its curve."""

import math
from pathlib import Path

from gymserve.protocol.wire import JSONObject
from gymserve.store import Database
from gymserve.store.models import Experiment
from gymserve.training.experiments import curve
from gymserve.training.experiments.metrics import RETURN, RETURNS, Metrics

EVALUATION = "evaluation/mean_reward"
POINTS = 100  # in the picture
GRAPH = "graph.svg"  # in a model's folder


def record(database: Database, experiment: Experiment, evaluation: JSONObject) -> JSONObject:
    """Return the best episode and the best evaluation; None if there was none."""
    metrics = Metrics(database)
    rewards = [point.values.get(EVALUATION) for point in metrics.points(experiment.id, names=(EVALUATION,))]
    rewards.append(evaluation.get("mean_reward"))
    means = [value for value in rewards if value is not None and math.isfinite(value)]
    return {"best_episode": metrics.summary(experiment)["best_reward"], "best_evaluation": max(means, default=None)}


def dates(experiment: Experiment) -> dict[str, str | None]:
    """Return when it was trained, in UTC."""
    names = ("started_at", "completed_at")
    return {name: at.isoformat() if (at := getattr(experiment, name)) else None for name in names}


def draw(database: Database, experiment: Experiment, folder: Path) -> None:
    """Write the picture of the learning curve into the folder, if there is a curve."""
    points = Metrics(database).points(experiment.id, names=RETURNS, points=POINTS)
    for name in RETURNS:
        curve_points = [(point.timestep, value) for point in points if (value := point.values.get(name)) is not None]
        if curve_points:
            timesteps, values = zip(*curve_points, strict=True)
            (folder / GRAPH).write_text(curve.small(RETURN, timesteps, values))
            return
