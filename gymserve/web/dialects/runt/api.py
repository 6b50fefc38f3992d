"""RUNT's requests: training for mobile-edge offloading. Its models are experiments with the tag `runt`.

Responses, including errors, are `{"status", "message", "data"}`. `GET /models/` and `POST /login/` share their paths with
our own API and page: `intercept` answers RUNT's requests before those views see them.
"""

import contextlib
import inspect
from collections.abc import Mapping
from datetime import timedelta

from flask import Response, request

from gymserve.environments.offloading import CONTINUOUS, DISCRETE, EPISODE_STEPS
from gymserve.environments.offloading.discrete import joint_actions
from gymserve.environments.offloading.environment import Offloading
from gymserve.protocol import errors, wire
from gymserve.protocol.wire import JSONObject
from gymserve.store.models import Experiment
from gymserve.training.advice import assistant
from gymserve.training.experiments.listing import tags_of
from gymserve.training.inference.client import EXPERIMENT
from gymserve.training.plan import algorithms
from gymserve.training.plan.numbers import integer
from gymserve.training.plan.states import ExperimentState
from gymserve.training.plan.stored import plan_of
from gymserve.training.plan.tuned import tuned as tuned_values
from gymserve.web.dialects.runt import parameters, schemas
from gymserve.web.http.access import actor, identity
from gymserve.web.http.answers import JSON, json_answer
from gymserve.web.http.backend import backend, training
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.errors import response
from gymserve.web.http.openapi import documented
from gymserve.web.http.parameters import FORMS
from gymserve.web.models import api as model_views
from gymserve.web.training.experiments import account_id, check_role, settled, wake

blueprint = Blueprint("runt", scope="training", tag="RUNT")
OTHERS = (401, 403)
TAG = "runt"
PATHS = ("login", "models", "stop-train", "testmodel", "train", "trainingassistent")  # their first segments
KWARGS = {name: each.default for name, each in inspect.signature(Offloading).parameters.items()}
TUNABLE = ("learning_rate", "batch_size", "gamma")
HYPERPARAMETERS = (*TUNABLE, "buffer_size")
RUN_FRACTIONS = {"n_steps": 10, "learning_starts": 10, "target_update_interval": 20, "buffer_size": 1}  # run / limit
SMOOTHING = 0.95  # the weight of the previous smoothed reward
WRONG_PASSWORD = "用户名或密码错误"
JSON_OR_FORM = (JSON, FORMS[0])
DATES = "%Y-%m-%d %H:%M:%S"


def _success(message: str, data: object = None, **more: object) -> Response:
    return json_answer({"status": "success", "message": message, "data": data, **more})


# --- paths that are shared with our own API and pages -----------------------------------------------------------------


@blueprint.before_app_request
def intercept() -> Response | None:
    """Answer RUNT's requests to paths that have views of our own."""
    if request.endpoint == "pages.login" and _is_login():
        return _log_in()
    if (
        request.endpoint == "models.list_all"
        and request.method != "OPTIONS"
        and not {"skip", "limit"} & request.args.keys()
    ):
        return json_answer(model_views.listing() | _models())
    return None


@blueprint.after_app_request
def convert_errors(answer: Response) -> Response:
    """Give errors on RUNT's paths the form that its clients expect, and 400 instead of 422."""
    if answer.status_code < 400 or not answer.is_json or request.path.lstrip("/").partition("/")[0] not in PATHS:
        return answer
    body = wire.read_json(answer.get_data()) | {"status": "error", "data": None}
    if answer.status_code == 405:
        methods = sorted(set(answer.allow) - {"HEAD", "OPTIONS"})
        body["message"] = f"仅支持{'、'.join(methods)}请求 (only {', '.join(methods)})"
    if answer.status_code == 422 and request.blueprint == blueprint.name:
        answer.status_code = 400
    answer.set_data(wire.write_json(body))
    return answer


def _is_login() -> bool:
    """Whether a POST to the login page is from RUNT's client: JSON, or a form with `username`, unlike the page's."""
    return request.method == "POST" and (request.is_json or "username" in request.form)


def _log_in() -> Response:
    """Check a name and a password, and issue a token; never a cookie, which pages of other sites could exploit."""
    try:
        payload, by = parameters.of_request(), actor()
        name, password = (str(payload.get(field) or "") for field in ("username", "password"))
        account = backend().accounts.authenticator.log_in(name, password, address=by.address, request_id=by.request_id)
    except errors.Unauthenticated:
        return json_answer({"status": "error", "message": WRONG_PASSWORD, "data": None})  # RUNT answers with 200
    except errors.GymserveError as error:
        return response(error)  # as JSON: the login page would answer with HTML
    token = backend().accounts.logins.issue(account.id, account.email, account.generation)
    return _success("登录成功", {"access_token": token, "token_type": "bearer", "username": account.email})


# --- training -----------------------------------------------------------------------------------------------------------


@blueprint.post("/train/")
@documented(
    schemas.RuntStarted, status=201, body=schemas.RuntTraining, accepts=JSON_OR_FORM, errors=(*OTHERS, 409, 429)
)
def train() -> Response:
    """Create an experiment in RUNT's environment, and start it."""
    check_role()
    row = training().experiments.begin(account_id(), _experiment(parameters.of_request()))
    wake()
    answer = _success("训练任务创建成功", {"id": row.id, "experiment_id": row.name}, id=row.id)
    answer.status_code = 201
    return answer


def _experiment(payload: dict[str, object]) -> JSONObject:
    """Translate RUNT's parameters into those of an experiment.

    Raises:
        InvalidRequest: a parameter is missing or invalid.
    """
    algorithm = algorithms.find(parameters.required(payload, "algorithm"))
    parameters.required(payload, "target_episode")
    episodes = integer("target_episode", parameters.integer(payload, "target_episode"), 1, 10**6)
    environment = CONTINUOUS if "Box" in algorithm.actions else DISCRETE
    tuned = tuned_values().get(environment, {}).get(algorithm.name, {}).get("hyperparameters", {})
    defaults, steps = algorithm.defaults | tuned, episodes * EPISODE_STEPS
    fitted = {
        name: max(1, min(defaults[name], steps // fraction))
        for name, fraction in RUN_FRACTIONS.items()
        if name in defaults
    }
    chosen = {name: _number(payload, name) for name in TUNABLE if name in defaults}
    shown = {name: defaults[name] for name in HYPERPARAMETERS if name in defaults}
    kwargs = {name: _number(payload, name) for name in KWARGS}
    return {
        "title": f"RUNT {algorithm.name}", "tags": [TAG], "algorithm": algorithm.name, "environment": environment,
        "seed": parameters.integer(payload, "seed"), "total_episodes": episodes,
        "hyperparameters": {**tuned, **shown, **fitted, **_without_none(chosen)},
        "env_kwargs": {**KWARGS, **_without_none(kwargs)},
    }  # fmt: skip


def _number(payload: JSONObject, name: str) -> float | int | None:
    return (parameters.integer if name in ("n_UE", "batch_size") else parameters.number)(payload, name)


def _without_none(values: Mapping[str, object]) -> JSONObject:
    return {name: value for name, value in values.items() if value is not None}


@blueprint.post("/stop-train/")
@documented(schemas.RuntAnswer, body=schemas.RuntModelName, accepts=JSON_OR_FORM, errors=(*OTHERS, 409))
def stop() -> Response:
    """Stop a training and wait until its processes have exited. A training that has ended stays as it is."""
    row = _requested_experiment(parameters.of_request())
    if not ExperimentState(row.state).is_final:
        row = settled(training().experiments.stop(row))
    return _success("训练已停止", {"id": row.id, "state": row.state, "wish": row.request})


def _requested_experiment(payload: dict[str, object]) -> Experiment:
    """Find the experiment that `model_id` names.

    Raises:
        InvalidRequest: `model_id` is not an integer.
        NotFound: the experiment does not exist, or belongs to another account.
    """
    parameters.required(payload, "model_id")
    return _find_experiment(parameters.integer(payload, "model_id") or 0)


def _find_experiment(number: int) -> Experiment:
    """Find the experiment with this id, among those with RUNT's tag.

    Raises:
        NotFound: the experiment does not exist, or belongs to another account.
    """
    with contextlib.suppress(errors.NotFound):
        row = training().experiments.find(number, account_id(), sees_all=identity().sees_all)
        if TAG in tags_of(row):
            return row
    raise errors.NotFound(f"模型ID {number} 不存在 (there is no model {number})")


# --- results ------------------------------------------------------------------------------------------------------------


def _models() -> dict[str, object]:
    """Return RUNT's part of the response to `GET /models/`: a page of its experiments, newest first.

    Raises:
        InvalidRequest: the query's page is invalid.
    """
    number, size = parameters.page(10)
    scope: JSONObject = {"sees_all": identity().sees_all, "filters": {"tag": TAG}}
    _, total = training().experiments.list(account_id(), **scope, limit=1)
    page = parameters.paged(total, number, size)
    rows, _ = training().experiments.list(account_id(), **scope, skip=(page["page"] - 1) * size, limit=size)
    episodes = training().metrics.episodes([row.id for row in rows])
    data = {**page, "models": [_model(row, episodes[row.id]) for row in rows]}
    return {"status": "success", "message": "查询成功", "data": data}


def _model(row: Experiment, episodes: int) -> dict[str, object]:
    plan = plan_of(row)
    hyperparameters, kwargs = plan.hyperparameters, plan.env_kwargs
    updated = row.completed_at or row.started_at or row.queued_at or row.created_at
    return {
        "id": row.id,
        "algorithm": row.algorithm,
        "target_episode": plan.total_episodes,
        "current_episode": episodes,
        "status": int(ExperimentState(row.state).is_final),
        "status_text": "训练完成" if ExperimentState(row.state).is_final else "训练中",
        **{name: kwargs.get(name) for name in KWARGS},
        "seed": row.seed,
        **{name: hyperparameters.get(name) for name in HYPERPARAMETERS},
        "create_time": row.created_at.strftime(DATES),
        "update_time": updated.strftime(DATES),
        "state": row.state,
        "reason": row.reason,
        "experiment_id": row.name,
    }


@blueprint.get("/models/<int:model_id>/train-data/")
@documented(schemas.RuntAnswer, errors=OTHERS, query=parameters.PAGE)
def train_data(model_id: int) -> Response:
    """List the rewards of a training's episodes, raw and smoothed.

    Metrics have no timestamps: an episode's time is estimated from its timestep and the duration of the run.
    """
    row = _find_experiment(model_id)
    number, size = parameters.page(20)
    page = parameters.paged(training().metrics.episodes([row.id])[row.id], number, size)
    end = page["page"] * size
    returns = training().metrics.returns(row.id, end)
    smooth = moving_average([value for _, value in returns])
    began, seconds_per_step = row.started_at or row.created_at, row.seconds / max(1, row.timesteps)
    entries = [
        {
            "id": episode, "episode": episode, "reward": value, "smoothed_reward": smooth[episode - 1],
            **dict.fromkeys(
                ("create_time", "update_time"), (began + timedelta(seconds=step * seconds_per_step)).strftime(DATES)
            ),
        }
        for episode, (step, value) in enumerate(returns, 1)
    ]  # fmt: skip
    data = {"model_id": row.id, "model_algorithm": row.algorithm, **page, "train_data": entries[end - size :]}
    return _success("查询成功", data)


def moving_average(values: list[float | None]) -> list[float | None]:
    """Return the exponential moving average, in which each new value weighs 0.05; missing values are skipped."""
    averages: list[float | None] = []
    last: float | None = None
    for value in values:
        if value is not None:
            last = value if last is None else SMOOTHING * last + (1 - SMOOTHING) * value
        averages.append(last)
    return averages


@blueprint.post("/testmodel/")
@documented(schemas.RuntRollout, body=schemas.RuntTest, accepts=JSON_OR_FORM, errors=(*OTHERS, 409, 500))
def try_model() -> Response:
    """Run a training's model for 100 steps from an observation; a running training uses its last checkpoint."""
    payload = parameters.of_request()
    row, observation = _requested_experiment(payload), parameters.numbers(payload, "observation")
    users = plan_of(row).env_kwargs.get("n_UE", KWARGS["n_UE"])
    if len(observation) != 4 * users + 4:
        text = f"observation数组大小不匹配，预期大小为{4 * users + 4}，实际大小为{len(observation)}"
        raise errors.InvalidRequest(f"{text} (it must have 4 n_UE + 4 = {4 * users + 4} numbers)")
    clipped = [min(1.0, max(0.0, each)) for each in observation]  # RUNT's own client sends values from -1 to 2
    question = {
        "what": "rollout", "model": EXPERIMENT + row.name, "seed": row.seed, "observation": clipped,
        "steps": EPISODE_STEPS, "deterministic": True,
    }  # fmt: skip
    rollout = training().inference.ask(question)
    actions = rollout["actions"]
    if row.environment == DISCRETE:
        actions = joint_actions(users)[actions].tolist()
    data = {"observation": rollout["observations"], "action": actions, "rewards": rollout["rewards"]}
    return json_answer({"status": "success", "message": "推理完成", **data})


@blueprint.post("/trainingassistent/")
@documented("text/plain", body=schemas.RuntQuestion, accepts=JSON_OR_FORM, errors=OTHERS)
def advise() -> Response:
    """Analyse hyperparameters and rewards, and advise what to change: Markdown in four parts, sent as it is written."""
    payload = parameters.of_request()
    hyperparameters, rewards = parameters.decoded(payload, "hyperparameters"), parameters.numbers(payload, "rewards")
    if not isinstance(hyperparameters, dict):
        raise errors.InvalidRequest("hyperparameters必须是有效的JSON对象 (must be an object)")
    name = str(hyperparameters.get("algorithm")).lower()
    algorithm = next((each for each in algorithms.everything() if each.name.lower() == name), None)
    defaults, kind = (algorithm.defaults, algorithm.name) if algorithm else ({}, "")
    values = {  # RUNT's page sends 0 for what is not set
        name: value for name, each in hyperparameters.items() if (value := parameters.as_number(each))
    }
    chosen = {
        name: int(value) if value.is_integer() else value
        for name, value in values.items()
        if algorithm is None or name in defaults  # RUNT's page also sends those of other algorithms
    }
    steps = [EPISODE_STEPS * number for number in range(1, len(rewards) + 1)]
    total = max(int(values.get("target_episode", 0)) * EPISODE_STEPS, steps[-1])
    curves = {"reward": (steps, rewards)}
    run = assistant.TrainingRun(kind, defaults | chosen, total)
    findings = assistant.findings(run, curves, assistant.CHINESE)
    title = f"训练指导：{kind}" if kind else "训练指导"
    return Response(assistant.report(title, findings, assistant.CHINESE), content_type="text/plain; charset=utf-8")
