"""Models over HTTP: kept, described, asked, and sent into challenges."""

import json
from typing import Any

import msgspec
from flask import Response, request, send_file

from gymserve.protocol import errors
from gymserve.store.models import Policy
from gymserve.training.plan.requests import UploadRequest
from gymserve.web.http import parameters
from gymserve.web.http.access import identity, large
from gymserve.web.http.answers import json_answer, no_content
from gymserve.web.http.backend import backend, training
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.openapi import documented, ranges
from gymserve.web.models import schemas
from gymserve.web.training import schemas as training_schemas
from gymserve.web.training.experiments import check_role, created
from gymserve.web.training.experiments import mine as own_experiment
from gymserve.web.training.videos import video_path

blueprint = Blueprint("models", scope="training", tag="Models", url_prefix="/models")
OTHERS = (401, 403)
STYLED = "default-src 'none'; style-src 'unsafe-inline'"  # a picture's own styles, and no script
UPLOAD = {
    "title": "what it is to be called",
    "algorithm": "as /algorithms has it",
    "environment": "an id of the catalogue",
    "hyperparameters": "JSON, for those that the file holds only pickled",
    "env_kwargs": "JSON, as the catalogue allows them",
    "frame_stack": "how many observations it sees at once",
    "atari": "true: with the usual wrapper of Atari's games",
}
ASKED = (*OTHERS, 500)
TOLD_APART = ("hyperparameters", "parent_model", "lineage")  # of a model's plan


def model_row(row: Policy) -> dict[str, Any]:
    """A model's card."""
    details = json.loads(row.details)
    plan = details.get("plan") or details["order"]  # as older versions called it
    return {
        "id": row.name,
        "title": row.title,
        "version": row.version,
        "is_promoted": row.is_promoted,
        "experiment_id": row.experiment or None,
        "algorithm": row.algorithm,
        "environment": row.environment,
        "hyperparameters": plan.get("hyperparameters", {}),
        "configuration": {name: value for name, value in plan.items() if name not in TOLD_APART},
        "timesteps": details["timesteps"],
        "evaluation": details["evaluation"],
        "parent": plan.get("parent_model"),
        "lineage": plan.get("lineage", []),
        "record": details.get("record", {"best_episode": None, "best_evaluation": None}),
        "started_at": details.get("started_at"),
        "completed_at": details.get("completed_at"),
        "created_at": row.created_at.isoformat(),
        "graph_path": f"models/{row.name}/graph" if training().models.file(row, "graph.svg").exists() else None,
        "video_path": video_path(row.experiment),
    }


def mine(model_id: str) -> Policy:
    """Raises: NotFound: there is none, or it is another account's."""
    return training().models.find(model_id, identity().account_id or None, sees_all=identity().sees_all)


@blueprint.post("/")
@documented(schemas.ModelCard, status=201, body=schemas.NewModel, errors=(*OTHERS, 409))
def keep() -> Response:
    """Keep the model that an experiment has trained."""
    params = parameters.parse(schemas.NewModel)
    experiment = own_experiment(params.experiment_id)
    answer = json_answer(model_row(training().models.keep(experiment, params.title)))
    answer.status_code = 201
    return answer


@blueprint.post("/upload")
@large
@documented(schemas.ModelCard, status=201, errors=(*OTHERS, 422, 429), query=UPLOAD)
def upload() -> Response:
    """Take in a model that was trained elsewhere: the body is the zip that Stable-Baselines3 saves (application/zip), or a
    form with it as `file`. Only its weights and plain hyper-parameters are read; nothing in it is run."""
    check_role()
    data = request.files["file"].read() if "file" in request.files else parameters.body()
    params = parameters.parse_texts(UploadRequest)
    answer = json_answer(model_row(training().uploads.receive(identity().account_id or None, params, data)))
    answer.status_code = 201
    return answer


@blueprint.get("/")
@documented(schemas.ModelCards, errors=OTHERS, query=parameters.PAGE)
def list_all() -> Response:
    """List one's models, the newest first."""
    return json_answer(listing())


def listing() -> dict[str, Any]:
    """The page of one's models that the current request asks for."""
    skip, limit = parameters.page()
    total, rows = training().models.list(
        identity().account_id or None, sees_all=identity().sees_all, skip=skip, limit=limit
    )
    return {"total": total, "models": [model_row(row) for row in rows]}


@blueprint.get("/<model_id>/")
@documented(schemas.ModelCard, errors=OTHERS)
def show(model_id: str) -> Response:
    """Show a model's card: what it is, where it came from, how well it does."""
    return json_answer(model_row(mine(model_id)))


@blueprint.patch("/<model_id>/")
@documented(schemas.ModelCard, body=schemas.ModelChange, errors=OTHERS)
def change(model_id: str) -> Response:
    """Rename a model, or promote it among the versions of its title."""
    row, params = mine(model_id), parameters.parse(schemas.ModelChange)
    if params.title is not None:
        row = training().models.rename(row, params.title)
    if params.is_promoted:
        row = training().models.promote(row)
    return json_answer(model_row(row))


@blueprint.delete("/<model_id>/")
@documented(status=204, errors=OTHERS)
def remove(model_id: str) -> Response:
    """Delete a model."""
    training().models.remove(mine(model_id))
    return no_content()


@blueprint.get("/<model_id>/graph")
@documented("image/svg+xml", errors=OTHERS)
def graph(model_id: str) -> Response:
    """Draw the learning curve of a model's training, small enough for a line of text."""
    answer = Response(training().models.graph(mine(model_id)), content_type="image/svg+xml; charset=utf-8")
    answer.headers["Content-Security-Policy"] = STYLED
    return answer


@blueprint.get("/<model_id>/file")
@documented("application/zip", also=ranges("application/zip"), errors=(*OTHERS, 416))
def file(model_id: str) -> Response:
    """Download a model, as Stable-Baselines3 loads it."""
    return file_of(mine(model_id))


def file_of(row: Policy) -> Response:
    """A model, as Stable-Baselines3 loads it."""
    return send_file(
        training().models.file(row), "application/zip", as_attachment=True, download_name=f"{row.name}.zip"
    )


@blueprint.get("/<model_id>/onnx")
@documented("application/octet-stream", also=ranges("application/octet-stream"), errors=(*OTHERS, 409, 416))
def onnx(model_id: str) -> Response:
    """Download a model's deterministic policy as ONNX, with its averages inside; it is made when it is first asked for."""
    row = mine(model_id)
    path = training().models.file(row, "model.onnx")
    if not path.exists():
        training().inference.ask({"what": "export", "model": row.name})
    return send_file(path, "application/octet-stream", as_attachment=True, download_name=f"{row.name}.onnx")


@blueprint.post("/<model_id>/push")
@documented(schemas.Pushed, errors=(*OTHERS, 409))
def push(model_id: str) -> Response:
    """Copy a model's files into the server's S3-compatible bucket."""
    row = mine(model_id)
    keys = training().models.push(row)
    return json_answer({"model_id": row.name, "bucket": backend().settings.S3_BUCKET, "keys": keys})


@blueprint.post("/<model_id>/retrain")
@documented(
    training_schemas.Experiment, status=201, body=schemas.RetrainRequest, body_needed=False, errors=(*OTHERS, 422)
)
def retrain(model_id: str) -> Response:
    """Create an experiment that goes on from a model, in its own environment or in another one with equal spaces."""
    check_role()
    row, asked = mine(model_id), parameters.parse_partial(schemas.RetrainRequest, needed=False)
    return created({**asked, "title": asked.get("name") or row.title}, parent=training().models.parent(row))


@blueprint.post("/<model_id>/predict")
@large
@documented(schemas.Predictions, body=schemas.Prediction, errors=ASKED)
def predict(model_id: str) -> Response:
    """Ask a model what to do: for one observation, or for many."""
    row, params = mine(model_id), parameters.parse(schemas.Prediction)
    one = params.observation is not None
    if one == (params.observations is not None):
        raise errors.InvalidRequest("give either observation, or observations, a list of them")
    question = {
        "what": "predict",
        "model": row.name,
        "observations": [params.observation] if one else params.observations,
        "deterministic": params.deterministic,
    }
    actions = training().inference.ask(question)
    return json_answer({"action": actions[0]} if one else {"actions": actions})


@blueprint.post("/<model_id>/rollout")
@large
@documented(schemas.Rollout, body=schemas.RolloutRequest, body_needed=False, errors=ASKED)
def rollout(model_id: str) -> Response:
    """Let a model act in its environment, from a seed, or from an observation where the environment can begin there."""
    row, params = mine(model_id), parameters.parse(schemas.RolloutRequest, needed=False)
    question = {"what": "rollout", "model": row.name, **msgspec.structs.asdict(params)}
    return json_answer(training().inference.ask(question))
