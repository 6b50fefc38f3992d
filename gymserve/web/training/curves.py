"""Metrics of experiments over HTTP: ranges, comparisons, and live as server-sent events."""

import time
from collections.abc import Iterator
from typing import NamedTuple

from flask import Response, request

from gymserve.protocol import errors
from gymserve.store.models import Experiment
from gymserve.training.experiments.lifecycle import Experiments
from gymserve.training.experiments.metrics import MOST_POINTS, Metrics
from gymserve.training.plan.states import ExperimentState
from gymserve.web.http import parameters
from gymserve.web.http.access import identity, ticketed
from gymserve.web.http.answers import event, json_answer
from gymserve.web.http.backend import training
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.concurrency import ConcurrencyLimit
from gymserve.web.http.errors import with_timestamp
from gymserve.web.http.openapi import documented
from gymserve.web.training import schemas
from gymserve.web.training.experiments import OTHERS, own_experiment

blueprint = Blueprint("curves", scope="training", tag="Experiments", url_prefix="/experiments", on_error=with_timestamp)
RANGE = {
    "from_timestep": "the first timestep",
    "to_timestep": "the last timestep",
    "names": "only these metrics, comma-separated",
    "points": f"maximum number of points, up to {MOST_POINTS}; a longer range is averaged over equal parts",
}
MOST_EXPERIMENTS = 20
VIEWERS = ConcurrencyLimit(16, each=4)  # each occupies a thread of the worker
LOOK_SECONDS = 0.5
KEEP_ALIVE_SECONDS = 15.0
LIVE_SECONDS = 3600.0  # then a viewer reconnects and continues


@blueprint.get("/<experiment_id>/metrics/")
@documented(schemas.ExperimentMetrics, errors=OTHERS, query=RANGE)
def show_metrics(experiment_id: str) -> Response:
    """Return an experiment's metrics by timestep, with a summary."""
    return json_answer(_metrics_of(own_experiment(experiment_id), _range()))


@blueprint.get("/metrics/")
@documented(schemas.ManyMetrics, errors=OTHERS, query={"ids": "experiments, comma-separated", **RANGE})
def compare() -> Response:
    """Return the metrics of several experiments."""
    ids = [each for each in request.args.get("ids", "").split(",") if each]
    if not 0 < len(ids) <= MOST_EXPERIMENTS:
        raise errors.InvalidRequest(f"ids must be 1 to {MOST_EXPERIMENTS} experiments, comma-separated")
    chosen = _range()
    return json_answer(schemas.ManyMetrics([_metrics_of(own_experiment(each), chosen) for each in ids]))


@blueprint.get("/<experiment_id>/metrics/stream")
@ticketed
@documented(
    "text/event-stream",
    errors=OTHERS,
    headers={"Last-Event-ID": "continue after this event"},
    query={"after": "the same"},
)
def live(experiment_id: str) -> Response:
    """Stream an experiment's metrics as server-sent events: `metric`, `state`, and `end`."""
    return watched(own_experiment(experiment_id))


def watched(row: Experiment) -> Response:
    """Stream an experiment's events, after the one that the current request names.

    Raises:
        LimitReached: there are too many viewers.
    """
    text = request.headers.get("Last-Event-ID") or request.args.get("after", "0")
    last = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0
    leave = VIEWERS.enter(identity().account_id)
    answer = Response(_events(training().experiments, training().metrics, row, last), content_type="text/event-stream")
    answer.call_on_close(leave)
    answer.headers["X-Accel-Buffering"] = "no"
    return answer


def _events(experiments: Experiments, metrics: Metrics, row: Experiment, last: int) -> Iterator[bytes]:
    deadline, sent_at, reported = time.monotonic() + LIVE_SECONDS, time.monotonic(), ("", "")
    while time.monotonic() < deadline:
        try:
            row = experiments.again(row)
        except errors.GymserveError:
            yield event("end", {"status": "deleted"})
            return
        rows = metrics.after(row.id, last)
        if reported != (row.state, row.request):
            reported = row.state, row.request
            status = {"status": row.state, "wish": row.request, "reason": row.reason, "timesteps": row.timesteps}
            yield event("state", status)
        for each in rows:
            yield event("metric", {"timestep": each.timestep, each.name: each.value}, each.id)
            last = each.id
        if rows:
            sent_at = time.monotonic()
            continue
        if not ExperimentState(row.state).is_active:
            yield event("end", {"status": row.state, "reason": row.reason})
            return
        if time.monotonic() - sent_at > KEEP_ALIVE_SECONDS:
            sent_at = time.monotonic()
            yield b": still there\n\n"
        time.sleep(LOOK_SECONDS)


class _Range(NamedTuple):
    """The metrics that a request asks for."""

    first: int | None
    last: int | None
    names: list[str]
    points: int


def _metrics_of(row: Experiment, chosen: _Range) -> schemas.ExperimentMetrics:
    """Return metrics of an experiment with their summary."""
    points = training().metrics.points(row.id, **chosen._asdict())
    return schemas.ExperimentMetrics(
        row.name,
        [{"timestep": point.timestep, **point.values} for point in points],
        schemas.MetricsSummary(**training().metrics.summary(row)),
    )


def _range() -> _Range:
    """Return the range of metrics that the current request asks for.

    Raises:
        InvalidRequest: a value is not a number.
    """
    return _Range(
        first=parameters.of_query("from_timestep", None, 0, 2**62),
        last=parameters.of_query("to_timestep", None, 0, 2**62),
        names=[each for each in request.args.get("names", "").split(",") if each],
        points=parameters.of_query("points", MOST_POINTS, 1, MOST_POINTS),
    )
