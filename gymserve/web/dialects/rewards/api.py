"""rewards-api: sessions that train a car to drive, as its clients call them; `session_id` stands in the query or the body."""

import time
from typing import Any

from flask import Response, request

from gymserve.environments.car_race.tracks import TRACKS
from gymserve.protocol import errors, params
from gymserve.store.models import TrainingSession
from gymserve.training.plan.states import ExperimentState
from gymserve.training.sessions import driving
from gymserve.training.sessions import parameters as checks
from gymserve.training.sessions.records import dated
from gymserve.web.dialects.rewards import pictures, schemas
from gymserve.web.http import parameters
from gymserve.web.http.access import changes_state, identity, ticketed
from gymserve.web.http.answers import json_answer
from gymserve.web.http.backend import backend, training
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.openapi import documented
from gymserve.web.training.experiments import account_id, check_role, settled, wake

blueprint = Blueprint("rewards", scope="training", tag="rewards-api", url_prefix="/api/v1")
OTHERS = (401, 403)
POINTS = 100  # of the scores of each session in a list
SESSION = {"session_id": "the session's name"}
EVALUATION = {
    **SESSION,
    "mode": "training or evaluation, which counts on the leaderboard",
    "track_num": "1 to 3; the session's own, if none is given",
}
SEEDS = {"training": range(5), "evaluation": range(1000, 1005)}  # where trials begin
NO_PICTURE = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
ENVIRONMENTS = [
    {
        "name": "Car Racer",
        "id": "car_racer",
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
    if request.mimetype in parameters.FORMS:
        given: dict[str, Any] = request.form.to_dict()
    else:
        given = parameters.read(data, request.content_type or "") if data else {}
    for name in set(query) & set(given):
        if query[name] != str(given[name]):
            raise errors.InvalidRequest(f"{name:.50} is {query[name]!r:.50} in the query, and another one in the body")
    return {**query, **given}


def _name(asked: dict[str, Any]) -> str:
    return params.parse(asked, checks.Named).session_id


def _session(asked: dict[str, Any]) -> TrainingSession:
    """Raises:
    InvalidRequest: no session is named, or none can be called so.
    NotFound: there is none, or it is another account's.
    """
    return training().sessions.find(account_id(), _name(asked))


@blueprint.post("/create_session")
@documented(schemas.RewardsSession, body=schemas.SessionName, body_needed=False, errors=(*OTHERS, 409), query=SESSION)
def create_session() -> Response:
    """Create a session."""
    check_role()
    row = training().sessions.create(account_id(), _name(_asked()))
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
    training().sessions.remove(row)
    return json_answer({"status": 200, "message": f"Session {row.name} deleted successfully"})


@blueprint.post("/write_env_params")
@documented(schemas.Written, body=schemas.EnvironmentParameters, errors=OTHERS, query=SESSION)
def write_env_params() -> Response:
    """Say where a session drives."""
    asked = _asked()
    training().sessions.write(_session(asked), "environment", checks.environment(asked))
    return json_answer({"status": 200, "response": "saved all the environment configurations successfully"})


@blueprint.post("/write_agent_parameters")
@blueprint.post("/write_agent_params", endpoint="write_agent_params")
@documented(schemas.RewardsHistory, body=schemas.AgentParameters, errors=OTHERS, query=SESSION)
def write_agent_parameters() -> Response:
    """Say what a session's network is, how it learns, and for how many episodes."""
    asked = _asked()
    row = training().sessions.write(_session(asked), "agent", checks.agent(asked))
    _, agent, reward = training().sessions.documents(row)
    return json_answer({**training().records.history(row), "notes": checks.notes(agent, reward)})


@blueprint.post("/write_training_params")
@documented(schemas.Written, body=schemas.TrainingParameters, errors=OTHERS, query=SESSION)
def write_training_params() -> Response:
    """Say by which algorithm a session learns, and what is rewarded; what the reward language has not is refused."""
    asked = _asked()
    training().sessions.write(_session(asked), "training", checks.training(asked))
    return json_answer({"status": 200, "response": "ok"})


@blueprint.post("/write_reward_fn")
@documented(schemas.Written, body=schemas.RewardFunction, errors=OTHERS, query=SESSION)
def write_reward_fn() -> Response:
    """Say what is rewarded from a session's next training on."""
    asked = _asked()
    row = _session(asked)
    reward = training().sessions.documents(row)[2]
    training().sessions.write(
        row, "training", checks.rewarded(reward, params.parse(asked, schemas.RewardFunction).reward_function)
    )
    return json_answer({"status": 200, "response": "ok"})


@blueprint.get("/get_all_params")
@documented(schemas.Parameters, errors=OTHERS, query=SESSION)
def get_all_params() -> Response:
    """Show all that is known of a session: its parameters, metrics, history, and its model's card."""
    return json_answer({"status": 200, **training().records.everything(_session(_asked()))})


@blueprint.get("/get_all_sessions")
@documented("application/json", errors=OTHERS)
def get_all_sessions() -> Response:
    """Show all of one's sessions, by their names, the newest first."""
    return json_answer(
        {row.name: training().records.everything(row, POINTS) for row in training().sessions.of(account_id())}
    )


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
@changes_state
@ticketed
@documented(
    pictures.MIXED, errors=(*OTHERS, 409, 422), query={**SESSION, "retrain": "true: go on learning with its last model"}
)
def stream() -> Response:
    """Train a session's agent, or look at a training that runs: JPEG pictures until it ends. It goes on without viewers."""
    check_role()
    asked = _asked()
    row = _session(asked)
    with pictures.place(identity().account_id) as leave:
        experiment = training().sessions.train(row, retrain=params.parse(checks.plain(asked), checks.Start).retrain)
        wake()
        return pictures.answer(pictures.of_training(training().experiments, experiment), leave)


@blueprint.get("/stop")
@changes_state
@documented(schemas.Said, errors=OTHERS, query=SESSION)
def stop() -> Response:
    """Stop a session's training; the answer waits until its processes are dead."""
    stopped = _stop(_session(_asked()))
    return json_answer({"status": 200, "message": "Training stopped" if stopped else "Nothing is being trained"})


def _stop(row: TrainingSession) -> bool:
    """Whether there was anything to stop."""
    experiment = training().sessions.experiment(row)
    if experiment is None or not ExperimentState(experiment.state).is_active:
        return False
    settled(training().experiments.stop(experiment))
    return True


@blueprint.get("/evaluate")
@blueprint.post("/evaluate", endpoint="order_evaluation")
@changes_state
@documented(
    pictures.MIXED, body=schemas.EvaluationOrder, body_needed=False, errors=(*OTHERS, 409, 500), query=EVALUATION
)
def evaluate() -> Response:
    """Let a session's model drive from fixed starts, note how well it did, and show it: JPEG pictures."""
    asked = _asked()
    row = _session(asked)
    environment = training().sessions.documents(row)[0]
    mode, track = checks.evaluation(asked, environment)
    with pictures.place(identity().account_id) as leave:
        drives = _driven(row, mode, track)
        return pictures.answer(pictures.of_trials(track, drives, environment["car_speed"]), leave)


def _driven(row: TrainingSession, mode: str, track: int) -> list[driving.Drive]:
    """Trials of the session's model; what came of them is noted."""
    model, began = training().sessions.model(row).name, time.monotonic()

    def act(observations: list[Any]) -> list[int]:
        question = {"what": "predict", "model": model, "observations": observations, "deterministic": True}
        actions: list[int] = training().inference.ask(question)
        return actions

    drives = driving.evaluate(act, track, SEEDS[mode])
    steps = [driving.lived(track, drive) for drive in drives]
    training().sessions.evaluated(row, mode=mode, track=track, steps=steps, seconds=time.monotonic() - began)
    return drives


@blueprint.get("/final_eval_score")
@documented(schemas.Scores, errors=OTHERS, query=SESSION)
def final_eval_score() -> Response:
    """Show the leaderboard: everybody's sessions by their evaluations' mean over all tracks; and a session's own place."""
    asked = _asked()
    own = _session(asked) if "session_id" in asked else None
    rows = [_score(rank, row) for rank, row in enumerate(training().sessions.best(), 1)]
    return json_answer(
        {"status": 200, "session": own and _score(training().sessions.rank(own), own), "leaderboard": rows}
    )


def _score(rank: int | None, row: TrainingSession) -> dict[str, Any]:
    directory = backend().accounts.directory
    user = directory.find(row.account_id).display_name if row.account_id else "everybody"
    return {"rank": rank, "session_id": row.name, "user": user, "score": row.score}


@blueprint.get("/get_user_list")
@documented(schemas.Users, errors=OTHERS, query=parameters.PAGE)
def get_user_list() -> Response:
    """List the users that one may see, oneself, or all for administrators; and the leaderboard, as the front end shows it."""
    skip, limit = parameters.page()
    directory = backend().accounts.directory
    rows = directory.list(skip=skip, limit=limit) if identity().sees_all else [directory.find(identity().account_id)]
    board = [{"user": _shown(_score(None, row)["user"]), "score": row.score} for row in training().sessions.best()]
    users = [{"id": row.id, "name": row.email} for row in rows]
    return json_answer({"status": 200, "users": users, "leaderboard_data": board})


def _shown(name: str) -> dict[str, Any]:
    """A user in the form of the front end's own log-in service; nobody's address is told, and there are no pictures."""
    return {"name": name, "identities": [{"identity_data": {"full_name": name, "email": "", "avatar_url": NO_PICTURE}}]}


@blueprint.post("/push_model")
@documented(schemas.RewardsPushed, body=schemas.SessionName, body_needed=False, errors=(*OTHERS, 409), query=SESSION)
def push_model() -> Response:
    """Copy a session's model into the server's bucket."""
    row = _session(_asked())
    model = training().sessions.model(row)
    return json_answer({"status": 200, "response": "ok", "model_id": model.name, "keys": training().models.push(model)})
