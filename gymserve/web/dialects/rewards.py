"""rewards-api: sessions that train a car to drive, as its clients call them; `session_id` stands in the query or the body."""

import time
from typing import Any

from flask import Blueprint, Response, current_app, request
from werkzeug.local import LocalProxy

from gymserve import errors
from gymserve.environments.car_race.tracks import TRACKS
from gymserve.store.models import TrainingSession
from gymserve.training import driving
from gymserve.training import session_parameters as checks
from gymserve.training.experiments import AT_REST
from gymserve.training.inference import Inference
from gymserve.training.models import Models
from gymserve.training.session_records import Records, dated
from gymserve.training.sessions import Sessions
from gymserve.web import parameters
from gymserve.web.access import acts, identity
from gymserve.web.answers import json_answer
from gymserve.web.dialects import pictures
from gymserve.web.dialects import rewards_schemas as schemas
from gymserve.web.experiments import account_id, check_role, experiments, settled, wake
from gymserve.web.openapi import documented

blueprint = Blueprint("rewards", __name__, url_prefix="/api/v1")
sessions: Sessions = LocalProxy(lambda: current_app.extensions["sessions"])  # type: ignore[assignment]
records: Records = LocalProxy(lambda: current_app.extensions["session_records"])  # type: ignore[assignment]
inference: Inference = LocalProxy(lambda: current_app.extensions["inference"])  # type: ignore[assignment]
models: Models = LocalProxy(lambda: current_app.extensions["models"])  # type: ignore[assignment]
OTHERS = (401, 403)
POINTS = 100  # of the scores of each session in a list
SESSION = {"session_id": "the session's name"}
EVALUATION = {
    **SESSION,
    "mode": "training or evaluation, which counts on the leaderboard",
    "track_num": "1 to 3; the session's own, if none is given",
}
SEEDS = {"training": range(5), "evaluation": range(1000, 1005)}  # where trials begin
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
ENVIRONMENTS = [
    {
        "name": "Car Racer",
        "id": "car-race",
        "description": "A car learns to drive a lap without leaving the road, by what five radars tell.",
        "isReleased": True,
    }
]


def _asked() -> dict[str, Any]:
    """The request's parameters, from its query and its body.

    Raises:
        InvalidRequest: the body is no JSON object, or says otherwise than the query.
    """
    query, data = request.args.to_dict(), parameters.body()
    if request.mimetype in FORMS:
        given: dict[str, Any] = request.form.to_dict()
    else:
        given = parameters.parse(data, request.content_type or "") if data else {}
    for name in set(query) & set(given):
        if query[name] != str(given[name]):
            raise errors.InvalidRequest(f"{name:.50} is {query[name]!r:.50} in the query, and another one in the body")
    return {**query, **given}


def _session(asked: dict[str, Any]) -> TrainingSession:
    """Raises:
    InvalidRequest: no session is named, or none can be called so.
    NotFound: there is none, or it is another account's.
    """
    return sessions.find(account_id(), parameters.required(asked, "session_id"))


@blueprint.post("/create_session")
@documented(schemas.Created, body=schemas.SessionName, body_needed=False, errors=(*OTHERS, 409), query=SESSION)
def create_session() -> Response:
    """Create a session."""
    check_role()
    row = sessions.create(account_id(), parameters.required(_asked(), "session_id"))
    created, root = dated(row.created_at), f"sessions/{row.id}"
    return json_answer(
        {
            "status": 200,
            "session_id": row.name,
            "session_creation_date": created["date"],
            "session_creation_time": created["time"],
            "dir_paths": {"session_root_dir": root, "saved_models_dir": f"{root}/saved_models"},
            "json_paths": {
                name: f"{root}/{name}.json" for name in ("training_metrics", "evaluation_metrics", "model_history")
            },
        }
    )


@blueprint.post("/delete_session")
@documented(schemas.Said, body=schemas.SessionName, body_needed=False, errors=(*OTHERS, 409), query=SESSION)
def delete_session() -> Response:
    """Delete a session, with what it has trained; a training that runs is stopped first."""
    row = _session(_asked())
    _stop(row)
    sessions.remove(row)
    return json_answer({"status": 200, "message": f"Session {row.name} deleted successfully"})


@blueprint.post("/write_env_params")
@documented(schemas.Written, body=schemas.EnvironmentParameters, errors=OTHERS, query=SESSION)
def write_env_params() -> Response:
    """Say where a session drives."""
    asked = _asked()
    sessions.write(_session(asked), "environment", checks.environment(asked))
    return json_answer({"status": 200, "response": "saved all the environment configurations successfully"})


@blueprint.post("/write_agent_parameters")
@blueprint.post("/write_agent_params", endpoint="write_agent_params")
@documented(schemas.History, body=schemas.AgentParameters, errors=OTHERS, query=SESSION)
def write_agent_parameters() -> Response:
    """Say what a session's network is, how it learns, and for how many episodes."""
    asked = _asked()
    row = sessions.write(_session(asked), "agent", checks.agent(asked))
    _, agent, training = sessions.documents(row)
    return json_answer({**records.history(row), "notes": checks.notes(agent, training)})


@blueprint.post("/write_training_params")
@documented(schemas.Written, body=schemas.TrainingParameters, errors=OTHERS, query=SESSION)
def write_training_params() -> Response:
    """Say by which algorithm a session learns, and what is rewarded; what the reward language has not is refused."""
    asked = _asked()
    sessions.write(_session(asked), "training", checks.training(asked))
    return json_answer({"status": 200, "response": "ok"})


@blueprint.get("/get_all_params")
@documented(schemas.Parameters, errors=OTHERS, query=SESSION)
def get_all_params() -> Response:
    """Show all that is known of a session: its parameters, metrics, history, and its model's card."""
    return json_answer({"status": 200, **records.everything(_session(_asked()))})


@blueprint.get("/get_all_sessions")
@documented("application/json", errors=OTHERS)
def get_all_sessions() -> Response:
    """Show all of one's sessions, by their names, the newest first."""
    return json_answer({row.name: records.everything(row, POINTS) for row in sessions.of(account_id())})


@blueprint.post("/get_all_envs")
@documented(schemas.DialectEnvironment, many=True, errors=OTHERS)
def get_all_envs() -> Response:
    """List the environments."""
    return json_answer(ENVIRONMENTS)


@blueprint.post("/get_all_tracks")
@documented("application/json", errors=OTHERS)
def get_all_tracks() -> Response:
    """List the tracks, as the old front end calls their pictures."""
    return json_answer([f"track-{number}.png" for number in TRACKS])


@blueprint.get("/stream")
@acts
@documented(
    pictures.MIXED, errors=(*OTHERS, 409, 422), query={**SESSION, "retrain": "true: go on learning with its last model"}
)
def stream() -> Response:
    """Train a session's agent, or look at a training that runs: JPEG pictures until it ends. It goes on without viewers."""
    check_role()
    asked = _asked()
    row = _session(asked)
    with pictures.place():
        experiment = sessions.train(row, retrain=parameters.boolean(asked, "retrain"))
        wake()
        known = experiments._get_current_object()  # type: ignore[attr-defined]
        return pictures.answer(pictures.of_training(known, experiment))


@blueprint.get("/stop")
@acts
@documented(schemas.Said, errors=OTHERS, query=SESSION)
def stop() -> Response:
    """Stop a session's training; the answer waits until its processes are dead."""
    stopped = _stop(_session(_asked()))
    return json_answer({"status": 200, "message": "Training stopped" if stopped else "Nothing is being trained"})


def _stop(row: TrainingSession) -> bool:
    """Whether there was anything to stop."""
    experiment = sessions.experiment(row)
    if experiment is None or experiment.state in AT_REST:
        return False
    settled(experiments.stop(experiment))
    return True


@blueprint.get("/evaluate")
@blueprint.post("/evaluate", endpoint="order_evaluation")
@acts
@documented(
    pictures.MIXED, body=schemas.EvaluationOrder, body_needed=False, errors=(*OTHERS, 409, 500), query=EVALUATION
)
def evaluate() -> Response:
    """Let a session's model drive from fixed starts, note how well it did, and show it: JPEG pictures."""
    asked = _asked()
    row = _session(asked)
    environment = sessions.documents(row)[0]
    mode, track = checks.evaluation(asked, environment)
    with pictures.place():
        drives = _driven(row, mode, track)
        return pictures.answer(pictures.of_trials(track, drives, environment["car_speed"]))


def _driven(row: TrainingSession, mode: str, track: int) -> list[driving.Drive]:
    """Trials of the session's model; what came of them is noted."""
    model, began = sessions.model(row).name, time.monotonic()

    def act(observations: list[Any]) -> list[int]:
        question = {"what": "predict", "model": model, "observations": observations, "deterministic": True}
        actions: list[int] = inference.ask(question)
        return actions

    drives = driving.evaluate(act, track, SEEDS[mode])
    steps = [driving.lived(track, drive) for drive in drives]
    sessions.evaluated(row, mode=mode, track=track, steps=steps, seconds=time.monotonic() - began)
    return drives


@blueprint.get("/final_eval_score")
@documented(schemas.Scores, errors=OTHERS, query=SESSION)
def final_eval_score() -> Response:
    """Show the leaderboard: everybody's sessions by their evaluations' mean over all tracks; and a session's own place."""
    asked = _asked()
    own = _session(asked) if "session_id" in asked else None
    rows = [_score(rank, row) for rank, row in enumerate(sessions.best(), 1)]
    return json_answer({"status": 200, "session": own and _score(sessions.rank(own), own), "leaderboard": rows})


def _score(rank: int | None, row: TrainingSession) -> dict[str, Any]:
    directory = current_app.extensions["accounts"].directory
    user = directory.find(row.account_id).email if row.account_id else "everybody"
    return {"rank": rank, "session_id": row.name, "user": user, "score": row.score}


@blueprint.get("/get_user_list")
@documented(schemas.Users, errors=OTHERS, query=parameters.PAGE)
def get_user_list() -> Response:
    """List the users that one may see: oneself, or all for administrators."""
    skip, limit = parameters.page()
    directory = current_app.extensions["accounts"].directory
    rows = directory.list(skip=skip, limit=limit) if identity.sees_all else [directory.find(identity.account_id)]
    return json_answer({"status": 200, "users": [{"id": row.id, "name": row.email} for row in rows]})


@blueprint.post("/push_model")
@documented(schemas.Pushed, body=schemas.SessionName, body_needed=False, errors=(*OTHERS, 409), query=SESSION)
def push_model() -> Response:
    """Copy a session's model into the server's bucket."""
    row = _session(_asked())
    model = sessions.model(row)
    return json_answer({"status": 200, "response": "ok", "model_id": model.name, "keys": models.push(model)})
