"""Pages on which a researcher starts, watches, pauses, resumes and stops training. All of it works without scripts."""

import contextlib
from typing import Any

from flask import current_app, redirect, render_template, request, url_for
from werkzeug.local import LocalProxy

from gymserve import errors, wire
from gymserve.store.models import Experiment
from gymserve.training import algorithms, orders
from gymserve.training.assistant import Finding
from gymserve.training.experiments import AT_REST, ENDED
from gymserve.training.listing import STATES
from gymserve.training.metrics import RETURN, Metrics
from gymserve.training.models import Models
from gymserve.web import parameters
from gymserve.web.access import identity
from gymserve.web.advice import findings
from gymserve.web.experiments import account_id, check_role, experiment_row, experiments, mine, wake
from gymserve.web.films import film_of
from gymserve.web.pages import book, current, for_accounts

blueprint = book("training_pages", url_prefix="/training")
metrics: Metrics = LocalProxy(lambda: current_app.extensions["metrics"])  # type: ignore[assignment]
models: Models = LocalProxy(lambda: current_app.extensions["models"])  # type: ignore[assignment]
ON_A_PAGE = 20
ROWS = 12  # of the table beside a chart
LOG_BYTES = 8192
NUMBERS = ("total_timesteps", "seed", "n_envs")
TEXTS = ("title", "algorithm", "environment", "description")
OF_A_PROGRAM = "parameter."  # before a parameter's name, in the form of one of RUNNERS
BUTTONS = {  # what can be done, what the button says, and in which states
    "start": ("Start", ("created",)),
    "pause": ("Pause", ("queued", "running")),
    "resume": ("Go on", ("paused", "stopped", "failed")),
    "stop": ("Stop", ("queued", "running", "paused")),
    "copy": ("Copy", STATES),
}
AGAIN = (*ENDED, "paused")  # the states from which a run may begin anew


@blueprint.get("")
@for_accounts
def list_all() -> str:
    """One's own experiments, or all for administrators, and a form for another one."""
    return _list_page()


def _list_page(**form: Any) -> str:
    """Raises: InvalidRequest: the query's filters are no good."""
    page = parameters.of_query("page", 1, 1, 10**6) or 1
    filters = {name: request.args.get(name, "").strip() for name in ("status", "algorithm", "search")}
    rows, total = experiments.list(
        account_id(), sees_all=identity.sees_all, filters=filters, skip=(page - 1) * ON_A_PAGE, limit=ON_A_PAGE
    )
    return render_template(
        "training.html",
        account=current(),
        rows=[experiment_row(row) | {"mean": metrics.summary(row)["avg_reward_last_100"]} for row in rows],
        filters=filters,
        states=STATES,
        at_rest=AT_REST,
        page=page,
        pages=-(-total // ON_A_PAGE),
        total=total,
        missing=algorithms.missing(),
        algorithms=algorithms.everything(),
        environments=sorted(current_app.extensions["instances"].catalogue.ids()),
        programs=experiments.checker.programs.values(),
        form=request.form,
        **form,
    )


@blueprint.post("")
@for_accounts
def create() -> Any:
    """Make an experiment, and start it, if that is wanted."""
    try:
        check_role()
        row = experiments.create(account_id(), _asked_for(), runner=request.form.get("runner") or orders.SB3)
    except errors.GymserveError as error:
        return _list_page(message=str(error)), wire.status(error)
    if request.form.get("then") == "start":
        return _acted("start", row)
    return redirect(url_for("training_pages.show", experiment_id=row.name), 303)


def _asked_for() -> dict[str, Any]:
    """What the form says, in the API's words; fields that were left empty are not said.

    Raises:
        InvalidRequest: a number is none, or the hyper-parameters are no JSON object.
    """
    given = {name: text.strip() for name, text in request.form.items() if text.strip()}
    asked: dict[str, Any] = {name: given[name] for name in TEXTS if name in given}
    for name in NUMBERS:
        if name in given:
            asked[name] = _integer(name, given[name])
    if "hyperparameters" in given:
        asked["hyperparameters"] = _object(given["hyperparameters"])
    if parameter := {name[len(OF_A_PROGRAM) :]: given[name] for name in given if name.startswith(OF_A_PROGRAM)}:
        asked["parameter"] = parameter
    return asked | {"tuned": "tuned" in given}


def _object(text: str) -> dict[str, Any]:
    try:
        value = wire.read_json(text)
    except errors.InvalidRequest:
        value = None
    if not isinstance(value, dict):
        raise errors.InvalidRequest('hyperparameters must be a JSON object, such as {"learning_rate": 0.0003}')
    return value


def _integer(name: str, text: str) -> int:
    digits = text.replace(",", "").replace("_", "")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 19):
        raise errors.InvalidRequest(f"{name} must be a whole number, not {text!r:.50}")
    return int(digits)


@blueprint.get("/<experiment_id>")
@for_accounts
def show(experiment_id: str) -> str:
    """An experiment: how it is doing, its curve, its evaluation, its log, what is to be said of it, and what can be done."""
    return _page_of(mine(experiment_id))


def _page_of(row: Experiment, **more: Any) -> str:
    names = metrics.names(row.id)
    name = request.args.get("metric") or (RETURN if RETURN in names or not names else names[0])
    return render_template(
        "experiment.html",
        account=current(),
        row=experiment_row(row),
        buttons={verb: label for verb, (label, states) in BUTTONS.items() if row.state in states and _can(row, verb)},
        can_retry=row.state in AGAIN,
        can_delete=row.state not in ("queued", "running"),
        has_model=row.runner == orders.SB3 and experiments.results(row)["model_path"] is not None,
        summary=metrics.summary(row),
        names=names,
        name=name,
        points=[(point.timestep, point.values.get(name)) for point in _points(row, name)],
        evaluation=experiments.results(row)["final_evaluation"],
        film=film_of(row)["video"],
        log=_log(row),
        findings=_findings(row),
        **more,
    )


def _can(row: Experiment, verb: str) -> bool:
    return verb != "pause" or row.runner == orders.SB3


def _points(row: Experiment, name: str) -> list[Any]:
    return metrics.points(row.id, names=[name], points=ROWS)


def _log(row: Experiment) -> str:
    """The end of what it printed."""
    try:
        path = experiments.file(row, "log.txt")
    except errors.NotFound:
        return ""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_BYTES))
        return file.read().decode("utf-8", "replace")


def _findings(row: Experiment) -> list[Finding] | None:
    """None: nothing can be said of such a run."""
    with contextlib.suppress(errors.Conflict, errors.Untrainable):
        return findings(row)
    return None


@blueprint.post("/<experiment_id>")
@for_accounts
def act(experiment_id: str) -> Any:
    """Do what a button says."""
    return _acted(request.form.get("verb", ""), mine(experiment_id))


def _acted(verb: str, row: Experiment) -> Any:
    """The page to go on with, or the experiment's with what stands in the way."""
    try:
        if verb in ("start", "resume", "retry", "copy"):
            check_role()
        if verb == "delete":
            experiments.remove(row)
            return redirect(url_for("training_pages.list_all"), 303)
        if verb == "keep":
            models.keep(row, request.form.get("title"))
            return redirect(url_for("model_pages.list_all"), 303)
        if verb != "retry" and verb not in BUTTONS:
            raise errors.InvalidRequest(f"there is no button {verb!r:.20}")
        changed = getattr(experiments, verb)(row)
    except (errors.InvalidRequest, errors.Conflict, errors.LimitReached, errors.Forbidden) as error:
        return _page_of(experiments.again(row), message=str(error)), wire.status(error)
    wake()
    return redirect(url_for("training_pages.show", experiment_id=changed.name), 303)
