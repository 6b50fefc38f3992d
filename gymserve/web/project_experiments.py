"""A project's experiments, as the TJU platform's clients call them: the same table as `/experiments`."""

from typing import Any

from flask import Blueprint, Response, current_app
from werkzeug.local import LocalProxy

from gymserve.store.models import Experiment, Project
from gymserve.training import orders
from gymserve.training.experiments import told
from gymserve.training.metrics import Metrics
from gymserve.training.projects import Projects
from gymserve.web import parameters
from gymserve.web import training_schemas as schemas
from gymserve.web.access import owner_only
from gymserve.web.answers import json_answer
from gymserve.web.experiments import check_role, experiments, parent_of, settled, wake
from gymserve.web.openapi import documented

blueprint = Blueprint(
    "project_experiments", __name__, url_prefix="/users/<int:user_id>/projects/<int:project_id>/experiments"
)
projects: Projects = LocalProxy(lambda: current_app.extensions["projects"])  # type: ignore[assignment]
metrics: Metrics = LocalProxy(lambda: current_app.extensions["metrics"])  # type: ignore[assignment]
OTHERS = (401, 403)
POINTS = 1000  # of each metric


def row_of(project: Project, row: Experiment, metric: dict[str, Any] | None = None) -> dict[str, Any]:
    """An experiment as that platform answers it; `parameter` is a Python literal there."""
    parameters = told(row)
    return {
        "title": row.title,
        "description": row.description,
        "parameter": repr(parameters.get("parameter", parameters.get("hyperparameters", {}))),
        "id": row.number,
        "project_id": project.number,
        "owner_id": project.account_id,
        "log_path": f"accounts/{project.account_id}/projects/{project.number}/experiments/{row.number}",
        "is_active": row.state in ("queued", "running"),
        "metric": metric or None,
        "status": row.state,
        "reason": row.reason,
        "experiment_id": row.name,
    }


def _answer(project: Project, row: Experiment) -> Response:
    return json_answer(row_of(project, row, metrics.series([row.id], points=POINTS)[row.id]))


@blueprint.post("/")
@documented(schemas.ProjectExperiment, body=schemas.ProjectExperimentOrder, errors=(*OTHERS, 422, 429))
@owner_only
def create(user_id: int, project_id: int) -> Response:
    """Create an experiment of the project's type, and start it."""
    check_role()
    project = projects.find(user_id, project_id)
    asked = parameters.of_request()
    given = asked.get("parameter") or {}
    texts = {"title": parameters.required(asked, "title"), "description": asked.get("description") or ""}
    # Stable-Baselines3's experiments are told all that /experiments takes, as the parameter's members.
    more = {**given, "parameter": given} if isinstance(given, dict) else {"parameter": given}
    runner = project.project_type.lower() if project.project_type.lower() == orders.SB3 else project.project_type
    parent = parent_of(more) if runner == orders.SB3 else None
    row = experiments.begin(user_id, {**more, **texts}, runner=runner, project=project, parent=parent)
    wake()
    return _answer(project, row)


@blueprint.get("/")
@documented(schemas.ProjectExperiment, many=True, errors=OTHERS, query=parameters.PAGE)
@owner_only
def list_all(user_id: int, project_id: int) -> Response:
    """List the project's experiments, with their metrics."""
    skip, limit = parameters.page()
    project = projects.find(user_id, project_id)
    rows = experiments.of_projects([project.id], skip=skip, limit=limit)[project.id]
    series = metrics.series([row.id for row in rows], points=POINTS)
    return json_answer([row_of(project, row, series[row.id]) for row in rows])


@blueprint.get("/<int:number>/")
@documented(schemas.ProjectExperiment, errors=OTHERS)
@owner_only
def show(user_id: int, project_id: int, number: int) -> Response:
    """Show an experiment of the project, with its metrics."""
    project = projects.find(user_id, project_id)
    return _answer(project, experiments.in_project(project, number))


@blueprint.post("/<int:number>/stop/")
@documented(schemas.ProjectExperiment, errors=(*OTHERS, 409))
@owner_only
def stop(user_id: int, project_id: int, number: int) -> Response:
    """Stop an experiment of the project; the answer waits until its processes are dead."""
    project = projects.find(user_id, project_id)
    row = experiments.in_project(project, number)
    if row.state in ("created", "queued", "running", "paused"):  # the old platform took a second stop
        row = settled(experiments.stop(row))
    return _answer(project, row)
