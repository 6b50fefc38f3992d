"""What came out of experiments, with the video of the best episode of their final evaluation."""

from typing import Any

from flask import Response, request

from gymserve.protocol import errors
from gymserve.recording.jobs import EXPERIMENT
from gymserve.recording.media import MADE, NONE
from gymserve.recording.video.rendering import MP4, WEBM
from gymserve.store.models import Experiment
from gymserve.web.http.answers import json_answer
from gymserve.web.http.backend import backend, training
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.errors import with_timestamp
from gymserve.web.http.files import send
from gymserve.web.http.openapi import documented, ranges
from gymserve.web.training import schemas
from gymserve.web.training.experiments import OTHERS, mine

blueprint = Blueprint("videos", scope="training", tag="Experiments", url_prefix="/experiments", on_error=with_timestamp)
FORMATS = {"webm": WEBM, "mp4": MP4}
WHEN = "it is made of the final evaluation's best episode, once the experiment is completed"


def video_path(experiment: str) -> str | None:
    """Where an experiment's video is, below the server's address; None: there is none."""
    about = backend().media.experiments.metadata(experiment) if experiment else None
    return f"experiments/{experiment}/video" if about is not None and about["state"] == MADE else None


def video_of(row: Experiment) -> dict[str, Any]:
    """Where the video is (below the server's address; null: there is none), how far it is, and why there is none."""
    told = backend().media.status(row.name, EXPERIMENT)
    reason = told["reason"] or (WHEN if told["state"] == NONE else "")
    return {
        "video_path": video_path(row.name),
        "video": {"state": told["state"], "reason": reason, "agrees": told.get("agrees")},
    }


@blueprint.get("/<experiment_id>/results/")
@documented(schemas.Results, errors=OTHERS)
def results(experiment_id: str) -> Response:
    """Tell what came out: the final evaluation, and the names of what was kept."""
    row = mine(experiment_id)
    return json_answer(
        {"experiment_id": row.name, "status": row.state, **training().experiments.results(row), **video_of(row)}
    )


@blueprint.get("/<experiment_id>/video")
@documented(
    "video/webm",
    also=ranges("video/webm"),
    media=("video/mp4",),
    errors=(*OTHERS, 416),
    query={"format": "webm or mp4"},
)
def video(experiment_id: str) -> Response:
    """Get the video of the final evaluation's best episode; ranges and ETags work."""
    return send_video(mine(experiment_id))


def send_video(row: Experiment) -> Response:
    """The video, in the format that is asked for."""
    form = request.args.get("format", "webm")
    if form not in FORMATS:
        raise errors.InvalidRequest(f"format must be {' or '.join(FORMATS)}, not {form!r:.50}")
    told = video_of(row)
    if told["video_path"] is None:
        film = told["video"]
        raise errors.NotFound(
            f"there is no video of experiment {row.name}: {film['state']}: {film['reason'] or 'wait'}"
        )
    return send(backend().media.open(row.name, FORMATS[form], EXPERIMENT), FORMATS[form], row.name)
