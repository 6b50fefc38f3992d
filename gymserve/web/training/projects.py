"""Projects over HTTP, for clients of the TJU platform."""

from flask import Response
from msgspec.structs import asdict

from gymserve.store.models import Project
from gymserve.web.http import parameters
from gymserve.web.http.access import owner_only
from gymserve.web.http.answers import json_answer, no_content
from gymserve.web.http.backend import backend, training
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.errors import with_detail
from gymserve.web.http.openapi import documented
from gymserve.web.training import schemas
from gymserve.web.training.project_experiments import row_of

blueprint = Blueprint(
    "projects", scope="training", tag="Projects", url_prefix="/users/<int:user_id>/projects", on_error=with_detail
)
OTHERS = (401, 403)


def project_rows(projects: list[Project]) -> list[schemas.ProjectCard]:
    """Convert projects to their JSON form; `log_path` is a name, never a path on the server."""
    theirs = training().experiments.of_projects([project.id for project in projects])
    return [_row(project, [row_of(project, row) for row in theirs[project.id]]) for project in projects]


def _row(project: Project, rows: list[schemas.ProjectExperiment]) -> schemas.ProjectCard:
    return schemas.ProjectCard(
        title=project.title,
        description=project.description,
        project_type=project.project_type,
        id=project.number,
        owner_id=project.account_id,
        log_path=f"accounts/{project.account_id}/projects/{project.number}",
        created_at=project.created_at.isoformat(),
        experiments=rows,
    )


@blueprint.post("/")
@documented(schemas.ProjectCard, body=schemas.NewProject, errors=OTHERS)
@owner_only
def create(user_id: int) -> Response:
    """Create a project."""
    project = training().projects.create(user_id, **asdict(parameters.parse(schemas.NewProject)))
    return json_answer(project_rows([project])[0])


@blueprint.get("/")
@documented(list[schemas.ProjectCard], errors=OTHERS, query=parameters.PAGE)
@owner_only
def list_all(user_id: int) -> Response:
    """List an account's projects."""
    skip, limit = parameters.page()
    backend().accounts.directory.find(user_id)
    return json_answer(project_rows(training().projects.of(user_id, skip=skip, limit=limit)))


@blueprint.get("/<int:project_id>/")
@documented(schemas.ProjectCard, errors=OTHERS)
@owner_only
def show(user_id: int, project_id: int) -> Response:
    """Show a project."""
    return json_answer(project_rows([training().projects.find(user_id, project_id)])[0])


@blueprint.patch("/<int:project_id>/")
@documented(schemas.ProjectCard, body=schemas.ChangedProject, errors=OTHERS)
@owner_only
def change(user_id: int, project_id: int) -> Response:
    """Change a project."""
    changed = training().projects.change(user_id, project_id, **asdict(parameters.parse(schemas.ChangedProject)))
    return json_answer(project_rows([changed])[0])


@blueprint.delete("/<int:project_id>/")
@documented(status=204, errors=OTHERS)
@owner_only
def remove(user_id: int, project_id: int) -> Response:
    """Delete a project."""
    training().projects.remove(user_id, project_id)
    return no_content()
