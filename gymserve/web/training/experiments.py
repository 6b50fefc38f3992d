"""Experiments over HTTP, for clients of the RL Agent Training API, with later additions."""

from collections.abc import Mapping

from flask import Response, request

from gymserve.protocol import errors
from gymserve.protocol.wire import JSONValue
from gymserve.store.models import Experiment
from gymserve.training.experiments.listing import tags_of
from gymserve.training.plan import programs
from gymserve.training.plan.lineage import Parent
from gymserve.training.plan.requests import ChangedTexts
from gymserve.training.plan.states import ExperimentState
from gymserve.training.plan.training_plan import SB3
from gymserve.web.http import parameters
from gymserve.web.http.access import identity
from gymserve.web.http.answers import json_answer, no_content
from gymserve.web.http.backend import backend, training
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.concurrency import ConcurrencyLimit
from gymserve.web.http.errors import with_timestamp
from gymserve.web.http.openapi import documented
from gymserve.web.training import schemas

blueprint = Blueprint(
    "experiments", scope="training", tag="Experiments", url_prefix="/experiments", on_error=with_timestamp
)
OTHERS = (401, 403)
FILTERS = {
    "status": "only experiments in this state",
    "algorithm": "only with this algorithm",
    "environment": "only in this environment",
    "runner": "only with this runner",
    "tag": "only with this tag",
    "search": "only with this text in name or description",
}
LOG_BYTES = 65_536
WAITING = ConcurrencyLimit(16, each=4)  # each occupies a thread of the worker


def experiment_row(row: Experiment) -> schemas.ExperimentCard:
    """Convert an experiment's row to its JSON form."""
    parameters = row.parameters
    hyperparameters: JSONValue = parameters.get("hyperparameters", parameters.get("parameter", {}))
    return schemas.ExperimentCard(
        id=row.name,
        name=row.title,
        status=row.state,
        request=row.request,
        reason=row.reason,
        exit_code=row.exit_code,
        runner=row.runner,
        algorithm=row.algorithm,
        environment=row.environment,
        trained_on=parameters.get("resolved", row.environment),
        hyperparameters=hyperparameters,
        parameters={name: value for name, value in parameters.items() if name not in HIDDEN},
        seed=row.seed,
        timesteps=row.timesteps,
        total_timesteps=parameters.get("total_timesteps"),
        created_at=row.created_at.isoformat(),
        started_at=None if row.started_at is None else row.started_at.isoformat(),
        completed_at=None if row.completed_at is None else row.completed_at.isoformat(),
        description=row.description,
        hypothesis=row.hypothesis,
        tags=tags_of(row),
        copy_of=row.copy_of or None,
        parent_model=parameters.get("parent_model"),
        lineage=parameters.get("lineage", []),
        resources=schemas.Resources(round(row.seconds, 1), round(row.cpu_seconds, 1), row.peak_memory),
    )


HIDDEN = ("hyperparameters", "parameter", "values", "package", "resolved", "total_timesteps", "parent_model", "lineage")


def unit_of(row: Experiment) -> str:
    """Return what an experiment's metrics count: "timestep" or "episode"."""
    return programs.counted(training().experiments.checker.programs, row.runner)


def own_experiment(experiment_id: str) -> Experiment:
    """Return the experiment, if the caller may see it.

    Raises:
        NotFound: there is none, or it belongs to another account.
    """
    return training().experiments.find(experiment_id, account_id(), sees_all=identity().sees_all)


def account_id() -> int | None:
    """Return the account that owns new experiments; None on an open server."""
    return identity().account_id or None


def check_role() -> None:
    """Check that the caller may train.

    Raises:
        Forbidden: the settings require a higher role.
    """
    role = backend().settings.TRAINING_ROLE
    if not identity().has_role(role):
        raise errors.Forbidden(f"training requires the role {role} on this server (TRAINING_ROLE)")


def parent_of(model_id: object) -> Parent | None:
    """Return the model that a new experiment starts from, or None.

    Raises:
        Untrainable: there is no such model, or it belongs to another account.
    """
    if model_id is None:
        return None
    try:
        return training().models.parent(
            training().models.find(str(model_id), account_id(), sees_all=identity().sees_all)
        )
    except errors.NotFound as error:
        raise errors.Untrainable(f"parent_model: {error}") from error


def created(settings: Mapping[str, JSONValue], *, parent: Parent | None) -> Response:
    """Create an experiment and answer with it."""
    runner = settings.get("runner") or SB3
    answer = json_answer(
        experiment_row(training().experiments.create(account_id(), settings, runner=runner, parent=parent))
    )
    answer.status_code = 201
    return answer


def wake() -> None:
    """Tell the scheduler that there is work."""
    backend().background.wake()


def settled(row: Experiment) -> Experiment:
    """Wait until the pending request is done, or until every signal's grace period is over, and return the experiment."""
    wake()
    try:
        leave = WAITING.enter(identity().account_id)
    except errors.LimitReached:
        return row
    try:
        return training().experiments.settled(row, 2 * backend().settings.EXPERIMENT_GRACE_SECONDS + 5.0)
    finally:
        leave()


@blueprint.post("/")
@documented(schemas.ExperimentCard, status=201, body=schemas.NewExperiment, errors=(*OTHERS, 422))
def create() -> Response:
    """Create an experiment; another call starts it."""
    check_role()
    settings = parameters.parse_partial(schemas.NewExperiment)
    return created({**settings, "title": settings["name"]}, parent=parent_of(settings.get("parent_model")))


@blueprint.get("/")
@documented(list[schemas.ExperimentCard], errors=OTHERS, query={**FILTERS, **parameters.PAGE})
def list_all() -> Response:
    """List your experiments (administrators: all), newest first; X-Total-Count is the total number."""
    skip, limit = parameters.page()
    rows, total = training().experiments.list(
        account_id(), sees_all=identity().sees_all, filters=request.args.to_dict(), skip=skip, limit=limit
    )
    answer = json_answer([experiment_row(row) for row in rows])
    answer.headers["X-Total-Count"] = str(total)
    return answer


@blueprint.get("/<experiment_id>/")
@documented(schemas.ExperimentCard, errors=OTHERS)
def show(experiment_id: str) -> Response:
    """Show an experiment."""
    return json_answer(experiment_row(own_experiment(experiment_id)))


@blueprint.put("/<experiment_id>/")
@documented(schemas.ExperimentCard, body=schemas.ChangedExperiment, errors=(*OTHERS, 422, 429))
def change(experiment_id: str) -> Response:
    """Change an experiment: its texts, its hyper-parameters, or its status (running, paused, cancelled)."""
    row, params = own_experiment(experiment_id), parameters.parse(schemas.ChangedExperiment)
    status = params.status
    if status == "paused":
        row = training().experiments.pause(row)
    elif status in ("cancelled", "stopped"):
        row = training().experiments.stop(row)
    texts = ChangedTexts(params.name, params.description, params.hypothesis, params.tags)
    row = training().experiments.change(row, texts, params.hyperparameters)
    if status == "running":
        check_role()
        row = training().experiments.start(row)
    return json_answer(experiment_row(settled(row) if status else row))


@blueprint.delete("/<experiment_id>/")
@documented(status=204, errors=OTHERS)
def remove(experiment_id: str) -> Response:
    """Delete an experiment that is not running, with its metrics and files."""
    row = own_experiment(experiment_id)
    training().experiments.remove(row)
    backend().media.remove_experiment(row.name)
    return no_content()


@blueprint.post("/<experiment_id>/train/")
@documented(schemas.TrainingStarted, errors=(*OTHERS, 429))
def train(experiment_id: str) -> Response:
    """Start an experiment, or resume a paused one."""
    return _started(training().experiments.start(_to_run(experiment_id)))


@blueprint.post("/<experiment_id>/resume/")
@documented(schemas.TrainingStarted, errors=(*OTHERS, 429))
def resume(experiment_id: str) -> Response:
    """Resume a paused, stopped or failed experiment from its last checkpoint."""
    return _started(training().experiments.resume(_to_run(experiment_id)))


@blueprint.post("/<experiment_id>/retry/")
@documented(schemas.TrainingStarted, errors=(*OTHERS, 429))
def retry(experiment_id: str) -> Response:
    """Start again from scratch, discarding the earlier metrics."""
    return _started(training().experiments.retry(_to_run(experiment_id)))


@blueprint.post("/<experiment_id>/pause/")
@documented(schemas.ExperimentCard, errors=OTHERS)
def pause(experiment_id: str) -> Response:
    """Pause an experiment; the response comes when its state is saved, or else shows the pending request."""
    return json_answer(experiment_row(settled(training().experiments.pause(own_experiment(experiment_id)))))


@blueprint.post("/<experiment_id>/stop/")
@documented(schemas.ExperimentCard, errors=OTHERS)
def stop(experiment_id: str) -> Response:
    """Stop an experiment; the response comes when its processes are gone."""
    return json_answer(experiment_row(settled(training().experiments.stop(own_experiment(experiment_id)))))


@blueprint.post("/<experiment_id>/copy/")
@documented(schemas.ExperimentCard, status=201, body=schemas.CopyRequest | None, errors=OTHERS)
def copy(experiment_id: str) -> Response:
    """Create another experiment with the same settings."""
    check_role()
    params = parameters.parse(schemas.CopyRequest, needed=False)
    made = training().experiments.copy(own_experiment(experiment_id), title=params.name, seed=params.seed)
    answer = json_answer(experiment_row(made))
    answer.status_code = 201
    return answer


@blueprint.get("/<experiment_id>/log")
@documented("text/plain", errors=OTHERS)
def log(experiment_id: str) -> Response:
    """Show the end of an experiment's output."""
    path = training().experiments.file(own_experiment(experiment_id), "log.txt")
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_BYTES))
        return Response(file.read(), content_type="text/plain; charset=utf-8")


def _to_run(experiment_id: str) -> Experiment:
    check_role()
    return own_experiment(experiment_id)


def _started(row: Experiment) -> Response:
    """Answer as clients of the old API expect: `running`, unless other experiments must end first."""
    wake()
    waits = training().experiments.before(row) >= backend().settings.MAX_CONCURRENT_EXPERIMENTS
    state = ExperimentState.QUEUED if waits else ExperimentState.RUNNING
    message = "it waits for others to end (MAX_CONCURRENT_EXPERIMENTS)" if waits else "the experiment is being started"
    return json_answer(schemas.TrainingStarted(row.name, state, message))
