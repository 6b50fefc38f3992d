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
from gymserve.web import model_schemas as schemas
from gymserve.web import parameters
from gymserve.web.access import identity
from gymserve.web.answers import json_answer, no_content
from gymserve.web.dialects import runt, runt_parameters
from gymserve.web.experiments import mine as own_experiment
from gymserve.web.openapi import documented

blueprint = Blueprint("models", __name__, url_prefix="/models")
models: Models = LocalProxy(lambda: current_app.extensions["models"])  # type: ignore[assignment]
inference: Inference = LocalProxy(lambda: current_app.extensions["inference"])  # type: ignore[assignment]
OTHERS = (401, 403)
ASKED = (*OTHERS, 500)


def model_row(row: Policy) -> dict[str, Any]:
    """A model's card."""
    details = json.loads(row.details)
    return {
        "id": row.name,
        "title": row.title,
        "version": row.version,
        "is_promoted": row.is_promoted,
        "experiment_id": row.experiment,
        "algorithm": row.algorithm,
        "environment": row.environment,
        "hyperparameters": details["order"].get("hyperparameters", {}),
        "configuration": {name: value for name, value in details["order"].items() if name != "hyperparameters"},
        "timesteps": details["timesteps"],
        "evaluation": details["evaluation"],
        "created_at": row.created_at.isoformat(),
    }


def _mine(model_id: str) -> Policy:
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
    return json_answer(model_row(_mine(model_id)))


@blueprint.patch("/<model_id>/")
@documented(schemas.ModelCard, body=schemas.ModelChange, errors=OTHERS)
def change(model_id: str) -> Response:
    """Rename a model, or promote it among the versions of its title."""
    row, asked = _mine(model_id), parameters.of_request()
    if "title" in asked:
        row = models.rename(row, asked["title"])
    if parameters.boolean(asked, "is_promoted"):
        row = models.promote(row)
    return json_answer(model_row(row))


@blueprint.delete("/<model_id>/")
@documented(status=204, errors=OTHERS)
def remove(model_id: str) -> Response:
    """Delete a model."""
    models.remove(_mine(model_id))
    return no_content()


@blueprint.get("/<model_id>/file")
@documented("application/zip", errors=OTHERS)
def file(model_id: str) -> Response:
    """Download a model, as Stable-Baselines3 loads it."""
    row = _mine(model_id)
    return send_file(models.file(row), "application/zip", as_attachment=True, download_name=f"{row.name}.zip")


@blueprint.post("/<model_id>/predict")
@documented(schemas.Predictions, body=schemas.Prediction, errors=ASKED)
def predict(model_id: str) -> Response:
    """Ask a model what to do: for one observation, or for many."""
    row, asked = _mine(model_id), parameters.of_request()
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
    row, asked = _mine(model_id), parameters.optional_of_request()
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
