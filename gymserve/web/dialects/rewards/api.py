"""rewards-api: sessions that train a car to drive. Its clients send `session_id` in the query or in the body."""

import time
from collections.abc import Mapping

from flask import Response, request

from gymserve.environments.car_race.tracks import TRACKS
from gymserve.protocol import errors, params
from gymserve.store.models import TrainingSession
from gymserve.training.plan.states import ExperimentState
from gymserve.training.runners.folder import Folder
from gymserve.training.sessions import driving
from gymserve.training.sessions import parameters as checks
from gymserve.training.sessions.records import date_and_time
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
POINTS = 100  # the length of each session's curve in a list of sessions
SESSION = {"session_id": "the session's name"}
EVALUATION = {
    **SESSION,
    "mode": "training, or evaluation, which counts on the leaderboard",
    "track_num": "1 to 3; by default the session's track",
}
SEEDS = {"training": range(5), "evaluation": range(1000, 1005)}  # each seed is a trial's start
NO_PICTURE = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
ENVIRONMENTS = [
    {
        "name": "Car Racer",
        "id": "car_racer",
        "description": "A car learns to drive a lap without leaving the road, using five radars.",
        "isReleased": True,
    }
]


def _payload() -> dict[str, object]:
    """Return the request's parameters, from its query and its body.

    Raises:
        InvalidRequest: the body is not a JSON object, or it contradicts the query.
    """
    query, data = request.args.to_dict(), parameters.body()
    if request.mimetype in parameters.FORMS:
        fields: dict[str, object] = dict(request.form.items())
    else:
        fields = parameters.read(data, request.content_type or "") if data else {}
    for name in set(query) & set(fields):
        if query[name] != str(fields[name]):
            raise errors.InvalidRequest(f"{name:.50} is {query[name]!r:.50} in the query, but differs in the body")
    return {**query, **fields}


def _session_name(payload: Mapping[str, object]) -> str:
    return params.parse(payload, checks.Named).session_id


def _session(payload: dict[str, object]) -> TrainingSession:
    """Find the session that the request names.

    Raises:
        InvalidRequest: the request names no session, or the name is invalid.
        NotFound: the session does not exist, or belongs to another account.
    """
    return training().sessions.find(account_id(), _session_name(payload))


@blueprint.post("/create_session")
@documented(schemas.RewardsSession, body=schemas.SessionName | None, errors=(*OTHERS, 409), query=SESSION)
def create_session() -> Response:
    """Create a session."""
    check_role()
    row = training().sessions.create(account_id(), _session_name(_payload()))
    creation, root = date_and_time(row.created_at), f"sessions/{row.id}"
    return json_answer(
        {
            "status": 200,
            "session_id": row.name,
            "session_creation_date": creation["date"],
            "session_creation_time": creation["time"],
            "dir_paths": {"session_root_dir": root, "saved_models_dir": f"{root}/saved_models"},
            "json_paths": {
                name: f"{root}/{name}.json" for name in ("training_metrics", "evaluation_metrics", "model_history")
            },
        }
    )


@blueprint.post("/delete_session")
@documented(schemas.RewardsMessage, body=schemas.SessionName | None, errors=(*OTHERS, 409), query=SESSION)
def delete_session() -> Response:
    """Delete a session with all that it has trained. A running training is stopped first."""
    row = _session(_payload())
    _stop(row)
    training().sessions.remove(row)
    return json_answer({"status": 200, "message": f"Session {row.name} deleted successfully"})


@blueprint.post("/write_env_params")
@documented(schemas.RewardsWritten, body=schemas.EnvironmentParameters, errors=OTHERS, query=SESSION)
def write_env_params() -> Response:
    """Set the environment's parameters of a session."""
    payload = _payload()
    training().sessions.write(_session(payload), checks.environment(payload))
    return json_answer({"status": 200, "response": "saved all the environment configurations successfully"})


@blueprint.post("/write_agent_parameters")
@blueprint.post("/write_agent_params", endpoint="write_agent_params")
@documented(schemas.RewardsHistory, body=schemas.AgentParameters, errors=OTHERS, query=SESSION)
def write_agent_parameters() -> Response:
    """Set a session's network, hyperparameters and number of episodes."""
    payload = _payload()
    row = training().sessions.write(_session(payload), checks.agent(payload))
    documents = training().sessions.documents(row)
    return json_answer({**training().records.history(row), "notes": checks.notes(documents.agent, documents.training)})


@blueprint.post("/write_training_params")
@documented(schemas.RewardsWritten, body=schemas.TrainingParameters, errors=OTHERS, query=SESSION)
def write_training_params() -> Response:
    """Set a session's algorithm and reward function. Functions outside of the reward language are refused."""
    payload = _payload()
    training().sessions.write(_session(payload), checks.training(payload))
    return json_answer({"status": 200, "response": "ok"})


@blueprint.post("/write_reward_fn")
@documented(schemas.RewardsWritten, body=schemas.RewardFunction, errors=OTHERS, query=SESSION)
def write_reward_fn() -> Response:
    """Set the reward function of a session's next training."""
    payload = _payload()
    row = _session(payload)
    source = params.parse(payload, schemas.RewardFunction).reward_function
    training().sessions.write(row, checks.rewarded(training().sessions.documents(row).training, source))
    return json_answer({"status": 200, "response": "ok"})


@blueprint.get("/get_all_params")
@documented(schemas.Parameters, errors=OTHERS, query=SESSION)
def get_all_params() -> Response:
    """Show a session's parameters, metrics and history, and its model's card."""
    return json_answer({"status": 200, **training().records.everything(_session(_payload()))})


@blueprint.get("/get_all_sessions")
@documented("application/json", errors=OTHERS)
def get_all_sessions() -> Response:
    """Show all of your sessions by name, newest first."""
    return json_answer(
        {row.name: training().records.everything(row, POINTS) for row in training().sessions.of(account_id())}
    )


@blueprint.post("/get_all_envs")
@documented(list[schemas.DialectEnvironment], errors=OTHERS)
def get_all_envs() -> Response:
    """List the environments."""
    return json_answer(ENVIRONMENTS)


@blueprint.post("/get_all_tracks")
@documented("application/json", errors=OTHERS)
def get_all_tracks() -> Response:
    """List the tracks by the old front end's names of their images."""
    return json_answer([f"track-{number}.png" for number in TRACKS])


@blueprint.get("/stream")
@changes_state
@ticketed
@documented(
    pictures.MIXED,
    errors=(*OTHERS, 409, 422),
    query={**SESSION, "retrain": "true to continue training the session's last model"},
)
def stream() -> Response:
    """Start training a session's agent, or watch its running training, as JPEG images.

    The training continues when the viewer leaves.
    """
    check_role()
    payload = _payload()
    row = _session(payload)
    with pictures.viewer(identity().account_id) as leave:
        experiment = training().sessions.train(row, retrain=params.parse(checks.plain(payload), checks.Start).retrain)
        wake()
        experiments = training().experiments
        images = pictures.of_training(Folder(experiments.folder / experiment.name), experiment, experiments.again)
        return pictures.answer(images, leave)


@blueprint.get("/stop")
@changes_state
@documented(schemas.RewardsMessage, errors=OTHERS, query=SESSION)
def stop() -> Response:
    """Stop a session's training, and wait until its processes have exited."""
    was_running = _stop(_session(_payload()))
    return json_answer({"status": 200, "message": "Training stopped" if was_running else "Nothing is being trained"})


def _stop(row: TrainingSession) -> bool:
    """Stop a session's training, and return whether one was running."""
    experiment = training().sessions.experiment(row)
    if experiment is None or not ExperimentState(experiment.state).is_active:
        return False
    settled(training().experiments.stop(experiment))
    return True


@blueprint.get("/evaluate")
@blueprint.post("/evaluate", endpoint="order_evaluation")
@changes_state
@documented(pictures.MIXED, body=schemas.EvaluationParameters | None, errors=(*OTHERS, 409, 500), query=EVALUATION)
def evaluate() -> Response:
    """Evaluate a session's model from fixed starts, record its score, and show the drives as JPEG images."""
    payload = _payload()
    row = _session(payload)
    environment = training().sessions.documents(row).environment
    mode, track = checks.evaluation(payload, environment)
    with pictures.viewer(identity().account_id) as leave:
        drives = _evaluate(row, mode, track)
        return pictures.answer(pictures.of_trials(track, drives, environment.car_speed), leave)


def _evaluate(row: TrainingSession, mode: str, track: int) -> list[driving.Drive]:
    """Run the trials of a session's model, and record the result."""
    model, began = training().sessions.model(row).name, time.monotonic()

    def act(observations: list[object]) -> list[int]:
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
    """Show the leaderboard: all users' sessions by their mean evaluation over all tracks, and one session's rank."""
    payload = _payload()
    own = _session(payload) if "session_id" in payload else None
    rows = [_score(rank, row) for rank, row in enumerate(training().sessions.best(), 1)]
    return json_answer(
        {"status": 200, "session": own and _score(training().sessions.rank(own), own), "leaderboard": rows}
    )


def _score(rank: int | None, row: TrainingSession) -> dict[str, object]:
    return {"rank": rank, "session_id": row.name, "user": _name_of(row), "score": row.score}


def _name_of(row: TrainingSession) -> str:
    return backend().accounts.directory.find(row.account_id).display_name if row.account_id else "everybody"


@blueprint.get("/get_user_list")
@documented(schemas.Users, errors=OTHERS, query=parameters.PAGE)
def get_user_list() -> Response:
    """List the users that you may see, and the leaderboard in the old front end's form."""
    skip, limit = parameters.page()
    directory = backend().accounts.directory
    rows = directory.list(skip=skip, limit=limit) if identity().sees_all else [directory.find(identity().account_id)]
    board = [{"user": _user(_name_of(row)), "score": row.score} for row in training().sessions.best()]
    users = [{"id": row.id, "name": row.email} for row in rows]
    return json_answer({"status": 200, "users": users, "leaderboard_data": board})


def _user(name: str) -> dict[str, object]:
    """Return a user in the form of the front end's login service, without an email address or a picture."""
    return {"name": name, "identities": [{"identity_data": {"full_name": name, "email": "", "avatar_url": NO_PICTURE}}]}


@blueprint.post("/push_model")
@documented(schemas.RewardsPushed, body=schemas.SessionName | None, errors=(*OTHERS, 409), query=SESSION)
def push_model() -> Response:
    """Copy a session's model to the server's bucket."""
    row = _session(_payload())
    model = training().sessions.model(row)
    return json_answer({"status": 200, "response": "ok", "model_id": model.name, "keys": training().models.push(model)})
