"""Parts of an experiment's page, fetched with its cookie: pictures, a curve, live metrics, the assistant's text."""

from flask import Response, request

from gymserve.training.experiments import curve
from gymserve.training.plan.states import ExperimentState
from gymserve.web.http.answers import json_answer
from gymserve.web.http.backend import training
from gymserve.web.http.browser import Pages, for_accounts
from gymserve.web.training.advice import curves_of, drawn, findings, picture, written
from gymserve.web.training.curves import watched
from gymserve.web.training.experiments import own_experiment, unit_of
from gymserve.web.training.videos import send_video

blueprint = Pages("training_parts_pages", url_prefix="/training/<experiment_id>")
POINTS = 500  # in a chart at first


@blueprint.get("/curve")
@for_accounts
def draw(experiment_id: str) -> Response:
    """Draw the learning curve."""
    return drawn(own_experiment(experiment_id))


@blueprint.get("/sparkline")
@for_accounts
def sparkline(experiment_id: str) -> Response:
    """Draw the learning curve as a small picture, for lists."""
    row = own_experiment(experiment_id)
    name = training().metrics.return_name(row)
    timesteps, values = curves_of(row, (name,)).get(name, ([], []))
    return picture(curve.small(name, timesteps, values, unit=unit_of(row)))


@blueprint.get("/metrics")
@for_accounts
def show_metrics(experiment_id: str) -> Response:
    """Return one metric's curve, and the event after which live metrics continue it."""
    row = own_experiment(experiment_id)
    name = request.args.get("metric") or training().metrics.return_name(row)
    last = training().metrics.newest(row.id)
    points = training().metrics.points(row.id, names=[name], points=POINTS)
    timesteps, values = [point.timestep for point in points], [point.values.get(name) for point in points]
    going_on = ExperimentState(row.state).is_active
    payload = {"name": name, "last": last, "going_on": going_on, "timesteps": timesteps, "values": values}
    return json_answer(payload)


@blueprint.get("/live")
@for_accounts
def live(experiment_id: str) -> Response:
    """Stream metrics and states."""
    return watched(own_experiment(experiment_id))


@blueprint.get("/video")
@for_accounts
def video(experiment_id: str) -> Response:
    """Get the video of the final evaluation's best episode."""
    return send_video(own_experiment(experiment_id))


@blueprint.get("/advice")
@for_accounts
def advise(experiment_id: str) -> Response:
    """Stream the assistant's text."""
    row = own_experiment(experiment_id)
    return written(row, findings(row), as_events=request.args.get("format") == "events")
