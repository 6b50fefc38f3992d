"""Pages on which a researcher starts, watches, pauses, resumes and stops training. All of it works without scripts."""

import contextlib
from typing import Any

from flask import redirect, render_template, request, url_for

from gymserve.protocol import errors, wire
from gymserve.store.models import Experiment
from gymserve.training.advice.assistant import Finding
from gymserve.training.experiments.listing import has_diverged
from gymserve.training.experiments.metrics import RETURN
from gymserve.training.plan import algorithms
from gymserve.training.plan.states import ACTIVE, FINAL, ExperimentState
from gymserve.training.plan.training_plan import SB3
from gymserve.web.http import parameters
from gymserve.web.http.access import identity
from gymserve.web.http.backend import backend, training
from gymserve.web.http.browser import Pages, current, for_accounts
from gymserve.web.training.advice import findings
from gymserve.web.training.experiments import account_id, check_role, experiment_row, mine, wake
from gymserve.web.training.videos import video_of

blueprint = Pages("training_pages", url_prefix="/training")
ON_A_PAGE = 20
ROWS = 12  # of the table beside a chart
LOG_BYTES = 8192
NUMBERS = ("total_timesteps", "seed", "n_envs")
TEXTS = ("title", "algorithm", "environment", "description")
OF_A_PROGRAM = "parameter."  # before a parameter's name, in the form of one of RUNNERS
BUTTONS = {  # what can be done, what the button says, and in which states
    "start": ("Start", (ExperimentState.CREATED,)),
    "pause": ("Pause", ACTIVE),
    "resume": ("Go on", (ExperimentState.PAUSED, ExperimentState.STOPPED, ExperimentState.FAILED)),
    "stop": ("Stop", (*ACTIVE, ExperimentState.PAUSED)),
    "copy": ("Copy", tuple(ExperimentState)),
}
AGAIN = (*FINAL, ExperimentState.PAUSED)  # the states from which a run may begin anew


@blueprint.get("")
@for_accounts
def list_all() -> str:
    """One's own experiments, or all for administrators, and a form for another one."""
    return _list_page()


def _list_page(**form: Any) -> str:
    """Raises: InvalidRequest: the query's filters are no good."""
    page = parameters.of_query("page", 1, 1, 10**6) or 1
    filters = {name: request.args.get(name, "").strip() for name in ("status", "algorithm", "search")}
    rows, total = training().experiments.list(
        account_id(), sees_all=identity().sees_all, filters=filters, skip=(page - 1) * ON_A_PAGE, limit=ON_A_PAGE
    )
    return render_template(
        "training.html",
        account=current(),
        rows=[experiment_row(row) | {"mean": training().metrics.summary(row)["avg_reward_last_100"]} for row in rows],
        filters=filters,
        states=list(ExperimentState),
        at_rest=[state for state in ExperimentState if not state.is_active],
        page=page,
        pages=-(-total // ON_A_PAGE),
        total=total,
        missing=algorithms.missing(),
        algorithms=algorithms.everything(),
        environments=sorted(backend().instances.catalogue.ids()),
        programs=training().experiments.checker.programs.values(),
        form=request.form,
        **form,
    )


@blueprint.post("")
@for_accounts
def create() -> Any:
    """Make an experiment, and start it, if that is wanted."""
    try:
        check_role()
        row = training().experiments.create(account_id(), _asked_for(), runner=request.form.get("runner") or SB3)
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
    names = training().metrics.names(row.id)
    name = request.args.get("metric") or (RETURN if RETURN in names or not names else names[0])
    return render_template(
        "experiment.html",
        account=current(),
        row=experiment_row(row),
        buttons=buttons_of(row),
        main=("copy",) if has_diverged(row) else ("start", "pause", "resume"),
        can_retry=row.state in AGAIN,
        can_delete=not ExperimentState(row.state).is_active,
        has_model=row.runner == SB3 and training().experiments.results(row)["model_path"] is not None,
        summary=training().metrics.summary(row),
        names=names,
        name=name,
        points=[(point.timestep, point.values.get(name)) for point in _points(row, name)],
        evaluation=training().experiments.results(row)["final_evaluation"],
        film=video_of(row)["video"],
        log=_log(row),
        findings=_findings(row),
        **more,
    )


def buttons_of(row: Experiment) -> dict[str, str]:
    """What can be done, and what the button says."""
    useless = {"resume"} if has_diverged(row) else set()  # it would go wrong again
    if row.runner != SB3:
        useless.add("pause")
    return {verb: label for verb, (label, states) in BUTTONS.items() if row.state in states and verb not in useless}


def _points(row: Experiment, name: str) -> list[Any]:
    return training().metrics.points(row.id, names=[name], points=ROWS)


def _log(row: Experiment) -> str:
    """The end of what it printed."""
    try:
        path = training().experiments.file(row, "log.txt")
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
            training().experiments.remove(row)
            return redirect(url_for("training_pages.list_all"), 303)
        if verb == "keep":
            training().models.keep(row, request.form.get("title"))
            return redirect(url_for("model_pages.list_all"), 303)
        if verb != "retry" and verb not in BUTTONS:
            raise errors.InvalidRequest(f"there is no button {verb!r:.20}")
        changed = getattr(training().experiments, verb)(row)
    except (errors.InvalidRequest, errors.Conflict, errors.LimitReached, errors.Forbidden) as error:
        return _page_of(training().experiments.again(row), message=str(error)), wire.status(error)
    wake()
    return redirect(url_for("training_pages.show", experiment_id=changed.name), 303)
