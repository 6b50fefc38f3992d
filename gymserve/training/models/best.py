"""What stands on a model's card of its training: its record, its dates, and its curve as a small picture."""

import math
from pathlib import Path
from typing import Any

from gymserve.store import Database
from gymserve.store.models import Experiment
from gymserve.training.experiments import curve
from gymserve.training.experiments.metrics import MEANS, RETURN, Metrics

EVALUATION = "evaluation/mean_reward"
POINTS = 100  # of the picture
GRAPH = "graph.svg"  # in a model's folder


def record(database: Database, experiment: Experiment, evaluation: dict[str, Any]) -> dict[str, Any]:
    """The best episode and the best evaluation; null where there was none."""
    metrics = Metrics(database)
    found = [point.values.get(EVALUATION) for point in metrics.points(experiment.id, names=(EVALUATION,))]
    found.append(evaluation.get("mean_reward"))
    means = [value for value in found if value is not None and math.isfinite(value)]
    return {"best_episode": metrics.summary(experiment)["best_reward"], "best_evaluation": max(means, default=None)}


def dates(experiment: Experiment) -> dict[str, str | None]:
    """When it was trained, in UTC."""
    names = ("started_at", "completed_at")
    return {name: at.isoformat() if (at := getattr(experiment, name)) else None for name in names}


def draw(database: Database, experiment: Experiment, folder: Path) -> None:
    """Leaves the picture of its learning curve in the folder, where it has one."""
    points = Metrics(database).points(experiment.id, names=(RETURN, *MEANS), points=POINTS)
    for name in (RETURN, *MEANS):
        found = [(point.timestep, value) for point in points if (value := point.values.get(name)) is not None]
        if found:
            timesteps, values = zip(*found, strict=True)
            (folder / GRAPH).write_text(curve.small(RETURN, timesteps, values))
            return
