"""Models over HTTP: kept, described, asked, and sent into challenges."""

import json
from typing import Any

from flask import Blueprint, Response, current_app, request, send_file
from werkzeug.local import LocalProxy

from gymserve import errors
from gymserve.hosts.answers import checked_seed
from gymserve.store.models import Policy
from gymserve.training.inference import Inference
from gymserve.training.models import Models
from gymserve.training.uploads import Uploads
from gymserve.web import model_schemas as schemas
from gymserve.web import parameters, training_schemas
from gymserve.web.access import identity, settings
from gymserve.web.answers import json_answer, no_content
from gymserve.web.dialects import runt, runt_parameters
from gymserve.web.experiments import check_role, created
from gymserve.web.experiments import mine as own_experiment
from gymserve.web.films import video_path
from gymserve.web.openapi import documented, in_parts

blueprint = Blueprint("models", __name__, url_prefix="/models")
models: Models = LocalProxy(lambda: current_app.extensions["models"])  # type: ignore[assignment]
inference: Inference = LocalProxy(lambda: current_app.extensions["inference"])  # type: ignore[assignment]
uploads: Uploads = LocalProxy(lambda: current_app.extensions["uploads"])  # type: ignore[assignment]
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
TOLD_APART = ("hyperparameters", "parent_model", "lineage")  # of a model's order


def model_row(row: Policy) -> dict[str, Any]:
    """A model's card."""
    details = json.loads(row.details)
    order = details["order"]
    return {
        "id": row.name,
        "title": row.title,
        "version": row.version,
        "is_promoted": row.is_promoted,
        "experiment_id": row.experiment or None,
        "algorithm": row.algorithm,
        "environment": row.environment,
        "hyperparameters": order.get("hyperparameters", {}),
        "configuration": {name: value for name, value in order.items() if name not in TOLD_APART},
        "timesteps": details["timesteps"],
        "evaluation": details["evaluation"],
        "parent": order.get("parent_model"),
        "lineage": order.get("lineage", []),
        "record": details.get("record", {"best_episode": None, "best_evaluation": None}),
        "started_at": details.get("started_at"),
        "completed_at": details.get("completed_at"),
        "created_at": row.created_at.isoformat(),
        "graph_path": f"models/{row.name}/graph" if models.file(row, "graph.svg").exists() else None,
        "video_path": video_path(row.experiment),
    }


def mine(model_id: str) -> Policy:
    """Raises: NotFound: there is none, or it is another account's."""
    return models.find(model_id, identity.account_id or None, sees_all=identity.sees_all)


@blueprint.post("/")
@documented(schemas.ModelCard, status=201, body=schemas.NewModel, errors=(*OTHERS, 409))
def keep() -> Response:
    """Keep the model that an experiment has trained."""
    asked = parameters.of_request()
    experiment = own_experiment(str(parameters.required(asked, "experiment_id")))
    answer = json_answer(model_row(models.keep(experiment, asked.get("title"))))
    answer.status_code = 201
    return answer


@blueprint.post("/upload")
@documented(schemas.ModelCard, status=201, errors=(*OTHERS, 422, 429), query=UPLOAD)
def upload() -> Response:
    """Take in a model that was trained elsewhere: the body is the zip that Stable-Baselines3 saves (application/zip), or a
    form with it as `file`. Only its weights and plain hyper-parameters are read; nothing in it is run."""
    check_role()
    given = request.form.to_dict() | request.args.to_dict()
    data = request.files["file"].read() if "file" in request.files else parameters.body()
    asked = {name: parameters.of_text(name, given[name]) for name in UPLOAD if name in given}
    for name in ("title", "algorithm", "environment"):
        parameters.required(asked, name)
    answer = json_answer(model_row(uploads.take(identity.account_id or None, asked, data)))
    answer.status_code = 201
    return answer


@blueprint.get("/")
@documented(schemas.ModelCards, errors=OTHERS, query={**parameters.PAGE, **runt_parameters.PAGE})
def list_all() -> Response:
    """List one's models, the newest first; and, without skip and limit, what RUNT's clients call models."""
    skip, limit = parameters.page()
    theirs = {} if {"skip", "limit"} & request.args.keys() else runt.models()
    total, rows = models.list(identity.account_id or None, sees_all=identity.sees_all, skip=skip, limit=limit)
    return json_answer({"total": total, "models": [model_row(row) for row in rows], **theirs})


@blueprint.get("/<model_id>/")
@documented(schemas.ModelCard, errors=OTHERS)
def show(model_id: str) -> Response:
    """Show a model's card: what it is, where it came from, how well it does."""
    return json_answer(model_row(mine(model_id)))


@blueprint.patch("/<model_id>/")
@documented(schemas.ModelCard, body=schemas.ModelChange, errors=OTHERS)
def change(model_id: str) -> Response:
    """Rename a model, or promote it among the versions of its title."""
    row, asked = mine(model_id), parameters.of_request()
    if "title" in asked:
        row = models.rename(row, asked["title"])
    if parameters.boolean(asked, "is_promoted"):
        row = models.promote(row)
    return json_answer(model_row(row))


@blueprint.delete("/<model_id>/")
@documented(status=204, errors=OTHERS)
def remove(model_id: str) -> Response:
    """Delete a model."""
    models.remove(mine(model_id))
    return no_content()


@blueprint.get("/<model_id>/graph")
@documented("image/svg+xml", errors=OTHERS)
def graph(model_id: str) -> Response:
    """Draw the learning curve of a model's training, small enough for a line of text."""
    answer = Response(models.graph(mine(model_id)), content_type="image/svg+xml; charset=utf-8")
    answer.headers["Content-Security-Policy"] = STYLED
    return answer


@blueprint.get("/<model_id>/file")
@documented("application/zip", also=in_parts("application/zip"), errors=(*OTHERS, 416))
def file(model_id: str) -> Response:
    """Download a model, as Stable-Baselines3 loads it."""
    return file_of(mine(model_id))


def file_of(row: Policy) -> Response:
    """A model, as Stable-Baselines3 loads it."""
    return send_file(models.file(row), "application/zip", as_attachment=True, download_name=f"{row.name}.zip")


@blueprint.get("/<model_id>/onnx")
@documented("application/octet-stream", also=in_parts("application/octet-stream"), errors=(*OTHERS, 409, 416))
def onnx(model_id: str) -> Response:
    """Download a model's deterministic policy as ONNX, with its averages inside; it is made when it is first asked for."""
    row = mine(model_id)
    path = models.file(row, "model.onnx")
    if not path.exists():
        inference.ask({"what": "export", "model": row.name})
    return send_file(path, "application/octet-stream", as_attachment=True, download_name=f"{row.name}.onnx")


@blueprint.post("/<model_id>/push")
@documented(schemas.Pushed, errors=(*OTHERS, 409))
def push(model_id: str) -> Response:
    """Copy a model's files into the server's S3-compatible bucket."""
    row = mine(model_id)
    keys = models.push(row)
    return json_answer({"model_id": row.name, "bucket": settings().S3_BUCKET, "keys": keys})


@blueprint.post("/<model_id>/retrain")
@documented(
    training_schemas.Experiment, status=201, body=schemas.RetrainOrder, body_needed=False, errors=(*OTHERS, 422)
)
def retrain(model_id: str) -> Response:
    """Create an experiment that goes on from a model, in its own environment or in another one with equal spaces."""
    check_role()
    row, asked = mine(model_id), parameters.optional_of_request()
    return created({**asked, "title": asked.get("name") or row.title}, parent=models.parent(row))


@blueprint.post("/<model_id>/predict")
@documented(schemas.Predictions, body=schemas.Prediction, errors=ASKED)
def predict(model_id: str) -> Response:
    """Ask a model what to do: for one observation, or for many."""
    row, asked = mine(model_id), parameters.of_request()
    one = "observation" in asked
    if one == ("observations" in asked):
        raise errors.InvalidRequest("give either observation, or observations, a list of them")
    question = {
        "what": "predict",
        "model": row.name,
        "observations": [asked["observation"]] if one else asked["observations"],
        "deterministic": parameters.boolean({"deterministic": True} | asked, "deterministic"),
    }
    actions = inference.ask(question)
    return json_answer({"action": actions[0]} if one else {"actions": actions})


@blueprint.post("/<model_id>/rollout")
@documented(schemas.Rollout, body=schemas.RolloutOrder, body_needed=False, errors=ASKED)
def rollout(model_id: str) -> Response:
    """Let a model act in its environment, from a seed, or from an observation where the environment can begin there."""
    row, asked = mine(model_id), parameters.optional_of_request()
    checked_seed(asked.get("seed"))
    question = {
        "what": "rollout",
        "model": row.name,
        "seed": asked.get("seed"),
        "observation": asked.get("observation"),
        "steps": asked.get("steps", 100),
        "deterministic": parameters.boolean({"deterministic": True} | asked, "deterministic"),
    }
    return json_answer(inference.ask(question))
