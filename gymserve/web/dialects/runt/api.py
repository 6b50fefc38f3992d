"""RUNT's requests: mobile-edge offloading trained over HTTP. Its models are experiments with the tag `runt`.

Answers, errors too, are `{"status", "message", "data"}`. Its `GET /models/` and `POST /login/` share their paths with our own
API and page: `claim` takes RUNT's requests before those views see them.
"""

import contextlib
import inspect
from datetime import timedelta
from typing import Any

from flask import Response, request

from gymserve.environments.offloading import CONTINUOUS, DISCRETE, EPISODE_STEPS
from gymserve.environments.offloading.discrete import joint_actions
from gymserve.environments.offloading.environment import Offloading
from gymserve.protocol import errors, wire
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
from gymserve.web.http.answers import json_answer
from gymserve.web.http.backend import backend, training
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.errors import response
from gymserve.web.http.openapi import documented
from gymserve.web.models import api as model_views
from gymserve.web.training.experiments import account_id, check_role, settled, wake

blueprint = Blueprint("runt", scope="training", tag="RUNT")
OTHERS = (401, 403)
TAG = "runt"
PATHS = ("login", "models", "stop-train", "testmodel", "train", "trainingassistent")  # begin with these
KWARGS = {name: each.default for name, each in inspect.signature(Offloading).parameters.items()}
TUNABLE = ("learning_rate", "batch_size", "gamma")
SHOWN = (*TUNABLE, "buffer_size")
FITTED = {"n_steps": 10, "learning_starts": 10, "target_update_interval": 20, "buffer_size": 1}  # parts of a run
KEPT = 0.95  # of the reward that was smoothed so far
WRONG = "用户名或密码错误"
DATES = "%Y-%m-%d %H:%M:%S"


def _success(message: str, data: Any = None, **more: Any) -> Response:
    return json_answer({"status": "success", "message": message, "data": data, **more})


# --- paths that are shared with our own API and pages -----------------------------------------------------------------


@blueprint.before_app_request
def claim() -> Response | None:
    """Answer RUNT's requests to paths that have views of our own."""
    if request.endpoint == "pages.login" and _asks_to_log_in():
        return _log_in()
    if (
        request.endpoint == "models.list_all"
        and request.method != "OPTIONS"
        and not {"skip", "limit"} & request.args.keys()
    ):
        return json_answer(model_views.listing() | _models())
    return None


@blueprint.after_app_request
def envelope(answer: Response) -> Response:
    """Give errors of RUNT's paths the form that its clients look for; they know no 422."""
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


def _asks_to_log_in() -> bool:
    """Whether a POST to the login page is from RUNT's client: JSON, or a form with a `username`, which the page's has not."""
    return request.method == "POST" and (request.is_json or "username" in request.form)


def _log_in() -> Response:
    """Checks a name and a password. It gives a token and never a cookie, so that no page of another site gains by it."""
    try:
        asked, by = parameters.of_request(), actor()
        name, password = (str(asked.get(each) or "") for each in ("username", "password"))
        account = backend().accounts.entrance.log_in(name, password, address=by.address, request_id=by.request_id)
    except errors.Unauthenticated:
        return json_answer({"status": "error", "message": WRONG, "data": None})  # 200, as that system answers
    except errors.GymserveError as error:
        return response(error)  # as JSON, where the page's errors are pages
    issued = backend().accounts.logins.issue(account.id, account.email, account.generation)
    return _success("登录成功", {"access_token": issued, "token_type": "bearer", "username": account.email})


# --- training -----------------------------------------------------------------------------------------------------------


@blueprint.post("/train/")
@documented(
    schemas.RuntStarted, status=201, body=schemas.RuntTraining, form=schemas.RuntTraining, errors=(*OTHERS, 409, 429)
)
def train() -> Response:
    """Create an experiment in RUNT's environment, and start it."""
    check_role()
    row = training().experiments.begin(account_id(), _experiment(parameters.of_request()))
    wake()
    made = _success("训练任务创建成功", {"id": row.id, "experiment_id": row.name}, id=row.id)
    made.status_code = 201
    return made


def _experiment(asked: dict[str, Any]) -> dict[str, Any]:
    """What an experiment is told, for what RUNT's client asks.

    Raises:
        InvalidRequest: something is missing or no good.
    """
    algorithm = algorithms.find(parameters.required(asked, "algorithm"))
    parameters.required(asked, "target_episode")
    episodes = integer("target_episode", parameters.integer(asked, "target_episode"), 1, 10**6)
    environment = CONTINUOUS if "Box" in algorithm.actions else DISCRETE
    tuned = tuned_values().get(environment, {}).get(algorithm.name, {}).get("hyperparameters", {})
    known, steps = algorithm.defaults | tuned, episodes * EPISODE_STEPS
    fitted = {name: max(1, min(known[name], steps // part)) for name, part in FITTED.items() if name in known}
    given = {name: _read(asked, name) for name in TUNABLE if name in known}
    shown = {name: known[name] for name in SHOWN if name in known}
    kwargs = {name: _read(asked, name) for name in KWARGS}
    return {
        "title": f"RUNT {algorithm.name}", "tags": [TAG], "algorithm": algorithm.name, "environment": environment,
        "seed": parameters.integer(asked, "seed"), "total_episodes": episodes,
        "hyperparameters": {**tuned, **shown, **fitted, **_told(given)}, "env_kwargs": {**KWARGS, **_told(kwargs)},
    }  # fmt: skip


def _read(asked: dict[str, Any], name: str) -> float | int | None:
    return (parameters.integer if name in ("n_UE", "batch_size") else parameters.number)(asked, name)


def _told(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


@blueprint.post("/stop-train/")
@documented(schemas.RuntAnswer, body=schemas.RuntModelName, form=schemas.RuntModelName, errors=(*OTHERS, 409))
def stop() -> Response:
    """Stop a training; the answer waits until its processes are dead. One that has ended stays as it is."""
    row = _asked_for(parameters.of_request())
    if not ExperimentState(row.state).is_final:
        row = settled(training().experiments.stop(row))
    return _success("训练已停止", {"id": row.id, "state": row.state, "wish": row.wish})


def _asked_for(asked: dict[str, Any]) -> Experiment:
    """The experiment that `model_id` names.

    Raises:
        InvalidRequest: it is no number.
        NotFound: there is none, or it is another account's.
    """
    parameters.required(asked, "model_id")
    return _mine(parameters.integer(asked, "model_id") or 0)


def _mine(number: int) -> Experiment:
    """Raises: NotFound: there is none, or it is another account's."""
    with contextlib.suppress(errors.NotFound):
        row = training().experiments.find(number, account_id(), sees_all=identity().sees_all)
        if TAG in tags_of(row):
            return row
    raise errors.NotFound(f"模型ID {number} 不存在 (there is no model {number})")


# --- what came of it ----------------------------------------------------------------------------------------------------


def _models() -> dict[str, Any]:
    """RUNT's part of the answer to `GET /models/`: its experiments, the newest first, one page of them.

    Raises:
        InvalidRequest: the page is none.
    """
    first, size = parameters.page(10)
    whose: dict[str, Any] = {"sees_all": identity().sees_all, "filters": {"tag": TAG}}
    _, total = training().experiments.list(account_id(), **whose, limit=1)
    place = parameters.paged(total, first, size)
    rows, _ = training().experiments.list(account_id(), **whose, skip=(place["page"] - 1) * size, limit=size)
    episodes = training().metrics.episodes([row.id for row in rows])
    data = {**place, "models": [_model(row, episodes[row.id]) for row in rows]}
    return {"status": "success", "message": "查询成功", "data": data}


def _model(row: Experiment, episodes: int) -> dict[str, Any]:
    plan = plan_of(row)
    given, kwargs = plan.hyperparameters, plan.env_kwargs
    changed = row.completed_at or row.started_at or row.queued_at or row.created_at
    return {
        "id": row.id,
        "algorithm": row.algorithm,
        "target_episode": plan.total_episodes,
        "current_episode": episodes,
        "status": int(ExperimentState(row.state).is_final),
        "status_text": "训练完成" if ExperimentState(row.state).is_final else "训练中",
        **{name: kwargs.get(name) for name in KWARGS},
        "seed": row.seed,
        **{name: given.get(name) for name in SHOWN},
        "create_time": row.created_at.strftime(DATES),
        "update_time": changed.strftime(DATES),
        "state": row.state,
        "reason": row.reason,
        "experiment_id": row.name,
    }


@blueprint.get("/models/<int:model_id>/train-data/")
@documented(schemas.RuntAnswer, errors=OTHERS, query=parameters.PAGE)
def train_data(model_id: int) -> Response:
    """Tell the rewards of a training's episodes, and the same smoothed.

    Metrics keep no clock: an episode's date is an estimate, from its timestep and the seconds that the run took.
    """
    row = _mine(model_id)
    first, size = parameters.page(20)
    place = parameters.paged(training().metrics.episodes([row.id])[row.id], first, size)
    end = place["page"] * size
    found = training().metrics.returns(row.id, end)
    smooth = smoothed([value for _, value in found])
    began, pace = row.started_at or row.created_at, row.seconds / max(1, row.timesteps)
    entries = [
        {
            "id": number, "episode": number, "reward": value, "smoothed_reward": smooth[number - 1],
            **dict.fromkeys(("create_time", "update_time"), (began + timedelta(seconds=step * pace)).strftime(DATES)),
        }
        for number, (step, value) in enumerate(found, 1)
    ]  # fmt: skip
    data = {"model_id": row.id, "model_algorithm": row.algorithm, **place, "train_data": entries[end - size :]}
    return _success("查询成功", data)


def smoothed(values: list[float | None]) -> list[float | None]:
    """Each value's part of 0.05 in what came before; one that is missing changes nothing."""
    found: list[float | None] = []
    last: float | None = None
    for value in values:
        if value is not None:
            last = value if last is None else KEPT * last + (1 - KEPT) * value
        found.append(last)
    return found


@blueprint.post("/testmodel/")
@documented(schemas.RuntRollout, body=schemas.RuntTest, form=schemas.RuntTest, errors=(*OTHERS, 409, 500))
def try_model() -> Response:
    """Let what a training has learnt act for 100 steps, from an observation; of one that runs, its last checkpoint."""
    asked = parameters.of_request()
    row, observation = _asked_for(asked), parameters.numbers(asked, "observation")
    users = plan_of(row).env_kwargs.get("n_UE", KWARGS["n_UE"])
    if len(observation) != 4 * users + 4:
        text = f"observation数组大小不匹配，预期大小为{4 * users + 4}，实际大小为{len(observation)}"
        raise errors.InvalidRequest(f"{text} (it must have 4 n_UE + 4 = {4 * users + 4} numbers)")
    clipped = [min(1.0, max(0.0, each)) for each in observation]  # that system's own client sends from -1 to 2
    question = {
        "what": "rollout", "model": EXPERIMENT + row.name, "seed": row.seed, "observation": clipped,
        "steps": EPISODE_STEPS, "deterministic": True,
    }  # fmt: skip
    found = training().inference.ask(question)
    actions = found["actions"]
    if row.environment == DISCRETE:
        actions = joint_actions(users)[actions].tolist()
    done = {"observation": found["observations"], "action": actions, "rewards": found["rewards"]}
    return json_answer({"status": "success", "message": "推理完成", **done})


@blueprint.post("/trainingassistent/")
@documented("text/plain", body=schemas.RuntQuestion, form=schemas.RuntQuestion, errors=OTHERS)
def advise() -> Response:
    """Say what hyper-parameters and rewards show, and what to change: Markdown in four parts, sent as it is written."""
    asked = parameters.of_request()
    given, rewards = parameters.plain(asked, "hyperparameters"), parameters.numbers(asked, "rewards")
    if not isinstance(given, dict):
        raise errors.InvalidRequest("hyperparameters必须是有效的JSON对象 (must be an object)")
    name = str(given.get("algorithm")).lower()
    algorithm = next((each for each in algorithms.everything() if each.name.lower() == name), None)
    known, kind = (algorithm.defaults, algorithm.name) if algorithm else ({}, "")
    values = {name: value for name, each in given.items() if (value := parameters.as_number(each))}  # 0: not told
    told = {
        name: int(value) if value.is_integer() else value
        for name, value in values.items()
        if algorithm is None or name in known  # RUNT's page sends those of other algorithms, too
    }
    steps = [EPISODE_STEPS * number for number in range(1, len(rewards) + 1)]
    total = max(int(values.get("target_episode", 0)) * EPISODE_STEPS, steps[-1])
    curves = {"reward": (steps, rewards)}
    found = assistant.findings(kind, known | told, curves, total_timesteps=total, language=assistant.CHINESE)
    title = f"训练指导：{kind}" if kind else "训练指导"
    return Response(assistant.report(title, found, assistant.CHINESE), content_type="text/plain; charset=utf-8")
