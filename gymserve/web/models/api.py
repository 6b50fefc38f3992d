"""Models over HTTP: keeping, describing and querying them."""

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
from gymserve.web.training.experiments import check_role, created, own_experiment
from gymserve.web.training.videos import video_path

blueprint = Blueprint("models", scope="training", tag="Models", url_prefix="/models")
OTHERS = (401, 403)
STYLED = "default-src 'none'; style-src 'unsafe-inline'"  # allows a picture's own styles, but no scripts
UPLOAD = {
    "title": "the model's title",
    "algorithm": "a name from /algorithms",
    "environment": "an id of the catalogue",
    "hyperparameters": "JSON; needed for those that the file contains only pickled",
    "env_kwargs": "JSON; the catalogue says which are allowed",
    "frame_stack": "number of observations that it sees at once",
    "atari": "true if it uses the standard Atari wrapper",
}
QUERY_ERRORS = (*OTHERS, 500)
SEPARATE = ("hyperparameters", "parent_model", "lineage")  # fields of a plan that a card shows on their own


def model_row(row: Policy) -> schemas.ModelCard:
    """Convert a model's row to its card."""
    details = row.details
    plan = details.get("plan") or details["order"]  # written by older versions
    return schemas.ModelCard(
        id=row.name,
        title=row.title,
        version=row.version,
        is_promoted=row.is_promoted,
        experiment_id=row.experiment or None,
        algorithm=row.algorithm,
        environment=row.environment,
        hyperparameters=plan.get("hyperparameters", {}),
        configuration={name: value for name, value in plan.items() if name not in SEPARATE},
        timesteps=details["timesteps"],
        evaluation=details["evaluation"],
        parent=plan.get("parent_model"),
        lineage=plan.get("lineage", []),
        record=details.get("record", {"best_episode": None, "best_evaluation": None}),
        started_at=details.get("started_at"),
        completed_at=details.get("completed_at"),
        created_at=row.created_at.isoformat(),
        graph_path=f"models/{row.name}/graph" if training().models.file(row, "graph.svg").exists() else None,
        video_path=video_path(row.experiment),
    )


def own_model(model_id: str) -> Policy:
    """Return the model, if the caller may see it.

    Raises:
        NotFound: there is none, or it belongs to another account.
    """
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
    """Upload a model trained elsewhere: the body is a zip saved by Stable-Baselines3 (application/zip), or a form with it as
    `file`. Only its weights and plain hyper-parameters are read; nothing in it is executed.
    """
    check_role()
    data = request.files["file"].read() if "file" in request.files else parameters.body()
    params = parameters.parse_texts(UploadRequest)
    answer = json_answer(model_row(training().uploads.receive(identity().account_id or None, params, data)))
    answer.status_code = 201
    return answer


@blueprint.get("/")
@documented(schemas.ModelCards, errors=OTHERS, query=parameters.PAGE)
def list_all() -> Response:
    """List your models, newest first."""
    return json_answer(listing())


def listing() -> dict[str, object]:
    """Return the page of models that the current request asks for."""
    skip, limit = parameters.page()
    total, rows = training().models.list(
        identity().account_id or None, sees_all=identity().sees_all, skip=skip, limit=limit
    )
    return {"total": total, "models": [model_row(row) for row in rows]}


@blueprint.get("/<model_id>/")
@documented(schemas.ModelCard, errors=OTHERS)
def show(model_id: str) -> Response:
    """Show a model's card: what it is, where it came from, and how good it is."""
    return json_answer(model_row(own_model(model_id)))


@blueprint.patch("/<model_id>/")
@documented(schemas.ModelCard, body=schemas.ModelChange, errors=OTHERS)
def change(model_id: str) -> Response:
    """Rename a model, or promote it among the versions of its title."""
    row, params = own_model(model_id), parameters.parse(schemas.ModelChange)
    if params.title is not None:
        row = training().models.rename(row, params.title)
    if params.is_promoted:
        row = training().models.promote(row)
    return json_answer(model_row(row))


@blueprint.delete("/<model_id>/")
@documented(status=204, errors=OTHERS)
def remove(model_id: str) -> Response:
    """Delete a model."""
    training().models.remove(own_model(model_id))
    return no_content()


@blueprint.get("/<model_id>/graph")
@documented("image/svg+xml", errors=OTHERS)
def graph(model_id: str) -> Response:
    """Draw the learning curve of a model's training, small enough for a line of text."""
    answer = Response(training().models.graph(own_model(model_id)), content_type="image/svg+xml; charset=utf-8")
    answer.headers["Content-Security-Policy"] = STYLED
    return answer


@blueprint.get("/<model_id>/file")
@documented(ranges("application/zip"), errors=(*OTHERS, 416))
def file(model_id: str) -> Response:
    """Download a model, to be loaded by Stable-Baselines3."""
    return file_of(own_model(model_id))


def file_of(row: Policy) -> Response:
    """Answer with a model's file, as Stable-Baselines3 loads it."""
    return send_file(
        training().models.file(row), "application/zip", as_attachment=True, download_name=f"{row.name}.zip"
    )


@blueprint.get("/<model_id>/onnx")
@documented(ranges("application/octet-stream"), errors=(*OTHERS, 409, 416))
def onnx(model_id: str) -> Response:
    """Download a model's deterministic policy as ONNX, including its averages; it is exported on the first request."""
    row = own_model(model_id)
    path = training().models.file(row, "model.onnx")
    if not path.exists():
        training().inference.ask({"what": "export", "model": row.name})
    return send_file(path, "application/octet-stream", as_attachment=True, download_name=f"{row.name}.onnx")


@blueprint.post("/<model_id>/push")
@documented(schemas.Pushed, errors=(*OTHERS, 409))
def push(model_id: str) -> Response:
    """Copy a model's files into the server's S3-compatible bucket."""
    row = own_model(model_id)
    keys = training().models.push(row)
    return json_answer(schemas.Pushed(row.name, backend().settings.S3_BUCKET, keys))


@blueprint.post("/<model_id>/retrain")
@documented(training_schemas.ExperimentCard, status=201, body=schemas.RetrainRequest | None, errors=(*OTHERS, 422))
def retrain(model_id: str) -> Response:
    """Create an experiment that continues a model, in its own environment or in another one with equal spaces."""
    check_role()
    row, settings = own_model(model_id), parameters.parse_partial(schemas.RetrainRequest, needed=False)
    return created({**settings, "title": settings.get("name") or row.title}, parent=training().models.parent(row))


@blueprint.post("/<model_id>/predict")
@large
@documented(schemas.Predictions, body=schemas.Prediction, errors=QUERY_ERRORS)
def predict(model_id: str) -> Response:
    """Query a model's action for one observation, or for many."""
    row, params = own_model(model_id), parameters.parse(schemas.Prediction)
    one = params.observation is not None
    if one == (params.observations is not None):
        raise errors.InvalidRequest("send either observation, or observations, a list of them")
    query = {
        "what": "predict",
        "model": row.name,
        "observations": [params.observation] if one else params.observations,
        "deterministic": params.deterministic,
    }
    actions = training().inference.ask(query)
    return json_answer({"action": actions[0]} if one else {"actions": actions})


@blueprint.post("/<model_id>/rollout")
@large
@documented(schemas.Rollout, body=schemas.RolloutRequest | None, errors=QUERY_ERRORS)
def rollout(model_id: str) -> Response:
    """Let a model act in its environment, from a seed, or from an observation if the environment can start from one."""
    row, params = own_model(model_id), parameters.parse(schemas.RolloutRequest, needed=False)
    query = {"what": "rollout", "model": row.name, **msgspec.structs.asdict(params)}
    return json_answer(training().inference.ask(query))
