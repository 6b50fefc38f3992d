"""What came out of experiments, with the video of the best episode of their final evaluation."""

from typing import Any

from flask import Blueprint, Response, current_app, request
from werkzeug.local import LocalProxy

from gymserve import errors
from gymserve.recording.film import MP4, WEBM
from gymserve.recording.media import MADE, NONE, Media
from gymserve.recording.orders import EXPERIMENT
from gymserve.store.models import Experiment
from gymserve.web import training_schemas as schemas
from gymserve.web.answers import json_answer
from gymserve.web.experiments import OTHERS, experiments, mine
from gymserve.web.media import sent
from gymserve.web.openapi import documented, in_parts

blueprint = Blueprint("films", __name__, url_prefix="/experiments")
kept: Media = LocalProxy(lambda: current_app.extensions["media"])  # type: ignore[assignment]
FORMATS = {"webm": WEBM, "mp4": MP4}
WHEN = "it is made of the final evaluation's best episode, once the experiment is completed"


def video_path(experiment: str) -> str | None:
    """Where an experiment's video is, below the server's address; None: there is none."""
    about = kept.of_experiments.about(experiment) if experiment else None
    return f"experiments/{experiment}/video" if about is not None and about["state"] == MADE else None


def film_of(row: Experiment) -> dict[str, Any]:
    """Where the video is (below the server's address; null: there is none), how far it is, and why there is none."""
    told = kept.standing(row.name, EXPERIMENT)
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
    return json_answer({"experiment_id": row.name, "status": row.state, **experiments.results(row), **film_of(row)})


@blueprint.get("/<experiment_id>/video")
@documented(
    "video/webm",
    also=in_parts("video/webm"),
    media=("video/mp4",),
    errors=(*OTHERS, 416),
    query={"format": "webm or mp4"},
)
def video(experiment_id: str) -> Response:
    """Get the video of the final evaluation's best episode; ranges and ETags work."""
    return sent_film(mine(experiment_id))


def sent_film(row: Experiment) -> Response:
    """The video, in the format that is asked for."""
    form = request.args.get("format", "webm")
    if form not in FORMATS:
        raise errors.InvalidRequest(f"format must be {' or '.join(FORMATS)}, not {form!r:.50}")
    told = film_of(row)
    if told["video_path"] is None:
        film = told["video"]
        raise errors.NotFound(
            f"there is no video of experiment {row.name}: {film['state']}: {film['reason'] or 'wait'}"
        )
    return sent(kept.open(row.name, FORMATS[form], EXPERIMENT), FORMATS[form], row.name)
