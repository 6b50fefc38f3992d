"""Results of experiments, with the video of the final evaluation's best episode."""

from flask import Response

from gymserve.protocol import errors
from gymserve.recording.jobs import EXPERIMENT
from gymserve.recording.media import MADE, NONE
from gymserve.recording.video.rendering import MP4, WEBM
from gymserve.store.models import Experiment
from gymserve.web.http import parameters
from gymserve.web.http.answers import json_answer
from gymserve.web.http.backend import backend, training
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.errors import with_timestamp
from gymserve.web.http.files import send
from gymserve.web.http.openapi import documented, ranges
from gymserve.web.training import schemas
from gymserve.web.training.experiments import OTHERS, own_experiment

blueprint = Blueprint("videos", scope="training", tag="Experiments", url_prefix="/experiments", on_error=with_timestamp)
FORMATS = {"webm": WEBM, "mp4": MP4}
WHEN = "the final evaluation's best episode is rendered once the experiment is completed"


def video_path(experiment: str) -> str | None:
    """Return the path of an experiment's video on the server; None if there is none."""
    about = backend().media.experiments.metadata(experiment) if experiment else None
    return f"experiments/{experiment}/video" if about is not None and about["state"] == MADE else None


def video_of(row: Experiment) -> schemas.Video:
    """Describe the video: its state, and why there is none."""
    status = backend().media.status(row.name, EXPERIMENT)
    reason = status["reason"] or (WHEN if status["state"] == NONE else "")
    return schemas.Video(status["state"], reason, status.get("agrees"))


@blueprint.get("/<experiment_id>/results/")
@documented(schemas.Results, errors=OTHERS)
def results(experiment_id: str) -> Response:
    """Return the final evaluation, and the paths of what was kept."""
    row = own_experiment(experiment_id)
    answer = schemas.Results(
        experiment_id=row.name,
        status=row.state,
        video_path=video_path(row.name),
        video=video_of(row),
        **training().experiments.results(row),
    )
    return json_answer(answer)


@blueprint.get("/<experiment_id>/video")
@documented(
    ranges("video/webm", "video/mp4"),
    errors=(*OTHERS, 416),
    query={"format": "webm or mp4"},
)
def video(experiment_id: str) -> Response:
    """Get the video of the final evaluation's best episode; supports ranges and ETags."""
    return send_video(own_experiment(experiment_id))


def send_video(row: Experiment) -> Response:
    """Answer with the video in the requested format."""
    form = parameters.choice("format", *FORMATS)
    if video_path(row.name) is None:
        status = video_of(row)
        raise errors.NotFound(f"there is no video of experiment {row.name}: {status.state}: {status.reason or 'wait'}")
    return send(backend().media.open(row.name, FORMATS[form], EXPERIMENT), FORMATS[form], row.name)
