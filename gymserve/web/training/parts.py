"""What an experiment's page fetches by its cookie: pictures, a curve, live metrics, the assistant's text."""

from typing import Any

from flask import Response, request

from gymserve.training.experiments import curve
from gymserve.training.experiments.metrics import RETURN
from gymserve.training.plan.states import ExperimentState
from gymserve.web.http.answers import json_answer
from gymserve.web.http.backend import training
from gymserve.web.http.browser import Pages, for_accounts
from gymserve.web.training.advice import curves_of, drawn, findings, picture, written
from gymserve.web.training.curves import watched
from gymserve.web.training.experiments import mine
from gymserve.web.training.videos import send_video

blueprint = Pages("training_parts_pages", url_prefix="/training/<experiment_id>")
POINTS = 500  # with which a chart begins


@blueprint.get("/curve")
@for_accounts
def draw(experiment_id: str) -> Response:
    """The learning curve as a picture."""
    return drawn(mine(experiment_id))


@blueprint.get("/sparkline")
@for_accounts
def sparkline(experiment_id: str) -> Response:
    """The learning curve as a small picture, for lists."""
    timesteps, values = curves_of(mine(experiment_id), (RETURN,)).get(RETURN, ([], []))
    return picture(curve.small(RETURN, timesteps, values))


@blueprint.get("/metrics")
@for_accounts
def show_metrics(experiment_id: str) -> Response:
    """One metric's curve, and the event after which live metrics go on from it."""
    row, name = mine(experiment_id), request.args.get("metric") or RETURN
    last = training().metrics.newest(row.id)
    points: list[Any] = training().metrics.points(row.id, names=[name], points=POINTS)
    timesteps, values = [point.timestep for point in points], [point.values.get(name) for point in points]
    going_on = ExperimentState(row.state).is_active
    told = {"name": name, "last": last, "going_on": going_on, "timesteps": timesteps, "values": values}
    return json_answer(told)


@blueprint.get("/live")
@for_accounts
def live(experiment_id: str) -> Response:
    """Metrics and states as they come."""
    return watched(mine(experiment_id))


@blueprint.get("/video")
@for_accounts
def video(experiment_id: str) -> Response:
    """The best episode of the final evaluation."""
    return send_video(mine(experiment_id))


@blueprint.get("/advice")
@for_accounts
def advise(experiment_id: str) -> Response:
    """The assistant's text as it is written."""
    row = mine(experiment_id)
    return written(row, findings(row), as_events=request.args.get("format") == "events")
