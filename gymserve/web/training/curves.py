"""Metrics of experiments over HTTP: ranges, several experiments at once, and live as server-sent events."""

import time
from collections.abc import Iterator
from typing import Any

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
from gymserve.web.training.experiments import OTHERS, mine

blueprint = Blueprint("curves", scope="training", tag="Experiments", url_prefix="/experiments", on_error=with_timestamp)
RANGE = {
    "from_timestep": "the first timestep",
    "to_timestep": "the last timestep",
    "names": "only these values, by commas",
    "points": f"at most so many timesteps, to {MOST_POINTS}; where there are more, means of equal parts of the range",
}
MOST_EXPERIMENTS = 20
VIEWERS = ConcurrencyLimit(16, each=4)  # each takes one of the worker's threads
LOOK_SECONDS = 0.5
KEEP_ALIVE_SECONDS = 15.0
LIVE_SECONDS = 3600.0  # then a viewer asks anew, where it was


@blueprint.get("/<experiment_id>/metrics/")
@documented(schemas.ExperimentMetrics, errors=OTHERS, query=RANGE)
def show_metrics(experiment_id: str) -> Response:
    """Tell an experiment's metrics by timestep, with a summary."""
    return json_answer(_told(mine(experiment_id), **_range()))


@blueprint.get("/metrics/")
@documented(schemas.ManyMetrics, errors=OTHERS, query={"ids": "experiments, by commas", **RANGE})
def compare() -> Response:
    """Tell the metrics of several experiments."""
    ids = [each for each in request.args.get("ids", "").split(",") if each]
    if not 0 < len(ids) <= MOST_EXPERIMENTS:
        raise errors.InvalidRequest(f"ids must be 1 to {MOST_EXPERIMENTS} experiments, by commas")
    wanted = _range()
    return json_answer({"experiments": [_told(mine(each), **wanted) for each in ids]})


@blueprint.get("/<experiment_id>/metrics/stream")
@ticketed
@documented(
    "text/event-stream", errors=OTHERS, headers={"Last-Event-ID": "go on after this event"}, query={"after": "the same"}
)
def live(experiment_id: str) -> Response:
    """Send an experiment's metrics as they come, as server-sent events: `metric`, `state`, and `end`."""
    return watched(mine(experiment_id))


def watched(row: Experiment) -> Response:
    """The events of an experiment, after the one that the current request names.

    Raises:
        LimitReached: too many watch.
    """
    text = request.headers.get("Last-Event-ID") or request.args.get("after", "0")
    last = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0
    leave = VIEWERS.enter(identity().account_id)
    answer = Response(_events(training().experiments, training().metrics, row, last), content_type="text/event-stream")
    answer.call_on_close(leave)
    answer.headers["X-Accel-Buffering"] = "no"
    return answer


def _events(experiments: Experiments, metrics: Metrics, row: Experiment, last: int) -> Iterator[bytes]:
    deadline, heard, told = time.monotonic() + LIVE_SECONDS, time.monotonic(), ("", "")
    while time.monotonic() < deadline:
        try:
            row = experiments.again(row)
        except errors.GymserveError:
            yield event("end", {"status": "deleted"})
            return
        found = metrics.after(row.id, last)
        if told != (row.state, row.request):
            told = row.state, row.request
            about = {"status": row.state, "wish": row.request, "reason": row.reason, "timesteps": row.timesteps}
            yield event("state", about)
        for each in found:
            yield event("metric", {"timestep": each.timestep, each.name: each.value}, each.id)
            last = each.id
        if found:
            heard = time.monotonic()
            continue
        if not ExperimentState(row.state).is_active:
            yield event("end", {"status": row.state, "reason": row.reason})
            return
        if time.monotonic() - heard > KEEP_ALIVE_SECONDS:
            heard = time.monotonic()
            yield b": still there\n\n"
        time.sleep(LOOK_SECONDS)


def _told(row: Experiment, **wanted: Any) -> dict[str, Any]:
    points = training().metrics.points(row.id, **wanted)
    return {
        "experiment_id": row.name,
        "metrics": [{"timestep": point.timestep, **point.values} for point in points],
        "summary": training().metrics.summary(row),
    }


def _range() -> dict[str, Any]:
    """Which metrics the current request asks for.

    Raises:
        InvalidRequest: a number is none.
    """
    return {
        "first": parameters.of_query("from_timestep", None, 0, 2**62),
        "last": parameters.of_query("to_timestep", None, 0, 2**62),
        "names": [each for each in request.args.get("names", "").split(",") if each],
        "points": parameters.of_query("points", MOST_POINTS, 1, MOST_POINTS),
    }
