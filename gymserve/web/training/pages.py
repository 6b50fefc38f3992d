"""Pages to start, watch, pause, resume and stop training; everything works without scripts."""

import contextlib

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from msgspec.structs import asdict

from gymserve.protocol import errors, wire
from gymserve.store.models import Experiment
from gymserve.training.advice.assistant import Finding
from gymserve.training.experiments.listing import has_diverged
from gymserve.training.experiments.metrics import Point
from gymserve.training.plan import algorithms
from gymserve.training.plan.states import ACTIVE, FINAL, ExperimentState
from gymserve.training.plan.training_plan import SB3
from gymserve.web.http import parameters
from gymserve.web.http.access import identity
from gymserve.web.http.backend import backend, training
from gymserve.web.http.browser import Pages, for_accounts
from gymserve.web.training.advice import findings
from gymserve.web.training.experiments import account_id, check_role, experiment_row, own_experiment, unit_of, wake
from gymserve.web.training.videos import video_of

blueprint = Pages("training_pages", url_prefix="/training")
ON_A_PAGE = 20
ROWS = 12  # in the table beside a chart
LOG_BYTES = 8192
NUMBERS = ("total_timesteps", "seed", "n_envs")
TEXTS = ("title", "algorithm", "environment", "description")
OF_A_PROGRAM = "parameter."  # prefix of a parameter's name in a program's form
BUTTONS = {  # action → the button's label, and the states in which it applies
    "start": ("Start", (ExperimentState.CREATED,)),
    "pause": ("Pause", ACTIVE),
    "resume": ("Resume", (ExperimentState.PAUSED, ExperimentState.STOPPED, ExperimentState.FAILED)),
    "stop": ("Stop", (*ACTIVE, ExperimentState.PAUSED)),
    "copy": ("Copy", tuple(ExperimentState)),
}
AGAIN = (*FINAL, ExperimentState.PAUSED)  # the states from which a run may start again from scratch


@blueprint.get("")
@for_accounts
def list_all() -> str:
    """List your experiments (administrators: all), with a form for a new one."""
    return _list_page()


def _list_page(**form: object) -> str:
    """Render the list.

    Raises:
        InvalidRequest: the query's filters are invalid.
    """
    page = parameters.of_query("page", 1, 1, 10**6) or 1
    filters = {name: request.args.get(name, "").strip() for name in ("status", "algorithm", "search")}
    rows, total = training().experiments.list(
        account_id(), sees_all=identity().sees_all, filters=filters, skip=(page - 1) * ON_A_PAGE, limit=ON_A_PAGE
    )
    return render_template(
        "training/experiments.html",
        rows=[_list_row(row) for row in rows],
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


def _list_row(row: Experiment) -> dict[str, object]:
    mean = training().metrics.summary(row)["avg_reward_last_100"]
    return asdict(experiment_row(row)) | {"mean": mean, "unit": unit_of(row)}


@blueprint.post("")
@for_accounts
def create() -> ResponseReturnValue:
    """Create an experiment, and start it if requested."""
    try:
        check_role()
        row = training().experiments.create(account_id(), _settings(), runner=request.form.get("runner") or SB3)
    except errors.GymserveError as error:
        return _list_page(message=str(error)), wire.status(error)
    if request.form.get("then") == "start":
        return _acted("start", row)
    return redirect(url_for("training_pages.show", experiment_id=row.name), 303)


def _settings() -> dict[str, object]:
    """Return the form's settings, as the API names them, without empty fields.

    Raises:
        InvalidRequest: a value is not a number, or the hyper-parameters are not a JSON object.
    """
    fields = {name: text.strip() for name, text in request.form.items() if text.strip()}
    settings: dict[str, object] = {name: fields[name] for name in TEXTS if name in fields}
    for name in NUMBERS:
        if name in fields:
            settings[name] = _integer(name, fields[name])
    if "hyperparameters" in fields:
        settings["hyperparameters"] = _object(fields["hyperparameters"])
    if parameter := {name[len(OF_A_PROGRAM) :]: fields[name] for name in fields if name.startswith(OF_A_PROGRAM)}:
        settings["parameter"] = parameter
    return settings | {"tuned": "tuned" in fields}


def _object(text: str) -> dict[str, object]:
    try:
        value = wire.read_json(text)
    except errors.InvalidRequest:
        value = None
    if not isinstance(value, dict):
        raise errors.InvalidRequest('hyperparameters must be a JSON object, for example {"learning_rate": 0.0003}')
    return value


def _integer(name: str, text: str) -> int:
    digits = text.replace(",", "").replace("_", "")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 19):
        raise errors.InvalidRequest(f"{name} must be a whole number, not {text!r:.50}")
    return int(digits)


@blueprint.get("/<experiment_id>")
@for_accounts
def show(experiment_id: str) -> str:
    """Show an experiment: its state, curve, evaluation, log, advice, and what can be done."""
    return _page_of(own_experiment(experiment_id))


def _page_of(row: Experiment, **more: object) -> str:
    names = training().metrics.names(row.id)
    returns = training().metrics.return_name(row)
    name = request.args.get("metric") or (returns if returns in names or not names else names[0])
    return render_template(
        "training/experiment.html",
        row=asdict(experiment_row(row)) | {"unit": unit_of(row)},
        buttons=buttons_of(row),
        main=("copy",) if has_diverged(row) else ("start", "pause", "resume"),
        can_retry=row.state in AGAIN,
        can_resume=row.runner == SB3,
        can_delete=not ExperimentState(row.state).is_active,
        has_model=row.runner == SB3 and training().experiments.results(row)["model_path"] is not None,
        summary=training().metrics.summary(row),
        names=names,
        name=name,
        points=[(point.timestep, point.values.get(name)) for point in _points(row, name)],
        evaluation=training().experiments.results(row)["final_evaluation"],
        video=video_of(row),
        log=_log(row),
        findings=_findings(row),
        **more,
    )


def buttons_of(row: Experiment) -> dict[str, str]:
    """Return the available actions with their buttons' labels."""
    useless = {"resume"} if has_diverged(row) else set()  # it would diverge again
    if row.runner != SB3:
        useless |= {"pause", "resume"}  # programs have no checkpoints
    return {verb: label for verb, (label, states) in BUTTONS.items() if row.state in states and verb not in useless}


def _points(row: Experiment, name: str) -> list[Point]:
    return training().metrics.points(row.id, names=[name], points=ROWS)


def _log(row: Experiment) -> str:
    """Return the end of the experiment's output."""
    try:
        path = training().experiments.file(row, "log.txt")
    except errors.NotFound:
        return ""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_BYTES))
        return file.read().decode("utf-8", "replace")


def _findings(row: Experiment) -> list[Finding] | None:
    """Return the findings; None if such a run cannot be judged."""
    with contextlib.suppress(errors.Conflict, errors.Untrainable):
        return findings(row)
    return None


@blueprint.post("/<experiment_id>")
@for_accounts
def act(experiment_id: str) -> ResponseReturnValue:
    """Carry out a button's action."""
    return _acted(request.form.get("verb", ""), own_experiment(experiment_id))


def _acted(verb: str, row: Experiment) -> ResponseReturnValue:
    """Carry out an action; answer with the next page, or with the experiment's page and the error."""
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
