"""A project's experiments, for clients of the TJU platform; the same experiments as below `/experiments`."""

from flask import Response

from gymserve.protocol.wire import JSONObject
from gymserve.store.models import Experiment, Project
from gymserve.training.plan.states import ExperimentState
from gymserve.training.plan.training_plan import SB3
from gymserve.web.http import parameters
from gymserve.web.http.access import owner_only
from gymserve.web.http.answers import json_answer
from gymserve.web.http.backend import training
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.errors import with_detail
from gymserve.web.http.openapi import documented
from gymserve.web.training import schemas
from gymserve.web.training.experiments import check_role, parent_of, settled, wake

blueprint = Blueprint(
    "project_experiments",
    scope="training",
    tag="Experiments",
    url_prefix="/users/<int:user_id>/projects/<int:project_id>/experiments",
    on_error=with_detail,
)
OTHERS = (401, 403)
POINTS = 1000  # of each metric


def row_of(project: Project, row: Experiment, metric: JSONObject | None = None) -> schemas.ProjectExperiment:
    """Convert an experiment's row to that platform's JSON form, in which `parameter` is a Python literal."""
    parameters = row.parameters
    assert row.number is not None
    return schemas.ProjectExperiment(
        title=row.title,
        description=row.description,
        parameter=repr(parameters.get("parameter", parameters.get("hyperparameters", {}))),
        id=row.number,
        project_id=project.number,
        owner_id=project.account_id,
        log_path=f"accounts/{project.account_id}/projects/{project.number}/experiments/{row.number}",
        is_active=ExperimentState(row.state).is_active,
        metric=metric or None,
        status=row.state,
        reason=row.reason,
        experiment_id=row.name,
    )


def _answer(project: Project, row: Experiment) -> Response:
    return json_answer(row_of(project, row, training().metrics.series([row.id], points=POINTS)[row.id]))


@blueprint.post("/")
@documented(schemas.ProjectExperiment, body=schemas.ProjectExperimentRequest, errors=(*OTHERS, 422, 429))
@owner_only
def create(user_id: int, project_id: int) -> Response:
    """Create an experiment of the project's type and start it."""
    check_role()
    project = training().projects.find(user_id, project_id)
    params = parameters.parse(schemas.ProjectExperimentRequest)
    texts = {"title": params.title, "description": params.description}
    # For the runner sb3, the members of `parameter` are the settings that /experiments accepts.
    more = {**params.parameter, "parameter": params.parameter}
    runner = project.project_type.lower() if project.project_type.lower() == SB3 else project.project_type
    parent = parent_of(more.get("parent_model")) if runner == SB3 else None
    row = training().experiments.begin(user_id, {**more, **texts}, runner=runner, project=project, parent=parent)
    wake()
    return _answer(project, row)


@blueprint.get("/")
@documented(list[schemas.ProjectExperiment], errors=OTHERS, query=parameters.PAGE)
@owner_only
def list_all(user_id: int, project_id: int) -> Response:
    """List the project's experiments, with their metrics."""
    skip, limit = parameters.page()
    project = training().projects.find(user_id, project_id)
    rows = training().experiments.of_projects([project.id], skip=skip, limit=limit)[project.id]
    series = training().metrics.series([row.id for row in rows], points=POINTS)
    return json_answer([row_of(project, row, series[row.id]) for row in rows])


@blueprint.get("/<int:number>/")
@documented(schemas.ProjectExperiment, errors=OTHERS)
@owner_only
def show(user_id: int, project_id: int, number: int) -> Response:
    """Show an experiment of the project, with its metrics."""
    project = training().projects.find(user_id, project_id)
    return _answer(project, training().experiments.in_project(project, number))


@blueprint.post("/<int:number>/stop/")
@documented(schemas.ProjectExperiment, errors=(*OTHERS, 409))
@owner_only
def stop(user_id: int, project_id: int, number: int) -> Response:
    """Stop an experiment of the project; the response comes when its processes are gone."""
    project = training().projects.find(user_id, project_id)
    row = training().experiments.in_project(project, number)
    if not ExperimentState(row.state).is_final:  # the old platform accepted a second stop
        row = settled(training().experiments.stop(row))
    return _answer(project, row)
