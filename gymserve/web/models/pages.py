"""The page of your models: cards, with buttons to promote, download and delete."""

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from msgspec.structs import asdict

from gymserve.protocol import errors
from gymserve.store.models import Experiment
from gymserve.web.http import parameters
from gymserve.web.http.access import identity
from gymserve.web.http.backend import training
from gymserve.web.http.browser import Pages, for_accounts
from gymserve.web.models.api import file_of, model_row, own_model
from gymserve.web.training.experiments import own_experiment

blueprint = Pages("model_pages", url_prefix="/training/models")
ON_A_PAGE = 20


@blueprint.get("")
@for_accounts
def list_all() -> str:
    """List your models (administrators: all), newest first."""
    page = parameters.of_query("page", 1, 1, 10**6) or 1
    total, rows = training().models.list(
        identity().account_id or None, sees_all=identity().sees_all, skip=(page - 1) * ON_A_PAGE, limit=ON_A_PAGE
    )
    return render_template(
        "training/models.html",
        rows=[asdict(model_row(row)) | {"from": _experiment(row.experiment)} for row in rows],
        page=page,
        pages=-(-total // ON_A_PAGE),
        total=total,
    )


def _experiment(name: str) -> Experiment | None:
    """Return the experiment that trained a model, if it still exists."""
    try:
        return own_experiment(name)
    except errors.NotFound:
        return None


@blueprint.post("/<model_id>")
@for_accounts
def act(model_id: str) -> ResponseReturnValue:
    """Promote a model among the versions of its title, or delete it."""
    row, verb = own_model(model_id), request.form.get("verb", "")
    if verb not in ("promote", "remove"):
        raise errors.InvalidRequest(f"there is no button {verb!r:.20}")
    getattr(training().models, verb)(row)
    return redirect(url_for("model_pages.list_all"), 303)


@blueprint.get("/<model_id>/file")
@for_accounts
def file(model_id: str) -> Response:
    """Download a model."""
    return file_of(own_model(model_id))
