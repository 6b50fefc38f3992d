"""Who may call which route: one table for all of them."""

import re
from typing import Any

import pytest

from gymserve.settings import Settings
from gymserve.web.app import create_app
from tests.conftest import Secured
from tests.support.servers import Server

EVERYBODY = {"nobody", "participant", "organiser", "admin"}
ACCOUNTS = {"participant", "organiser", "admin"}
# The roles that each route admits. For routes of an instance or an account, "owner" is the participant who owns it, and
# "participant" is another one.
TABLE = {
    "GET /": EVERYBODY,
    "GET /account": EVERYBODY,
    "GET /api/external_graders/<key_or_submission>": {"organiser", "admin"},
    "GET /api/submissions": {"organiser", "admin"},
    "GET /api/submissions/<submission_id>": {"organiser", "admin"},  # those that its own grader has entered
    "GET /api/v1/evaluate": ACCOUNTS,  # its own sessions, as in all of these
    "GET /api/v1/final_eval_score": ACCOUNTS,
    "GET /api/v1/get_all_params": ACCOUNTS,
    "GET /api/v1/get_all_sessions": ACCOUNTS,
    "GET /api/v1/get_user_list": ACCOUNTS,
    "GET /api/v1/stop": ACCOUNTS,
    "GET /api/v1/stream": ACCOUNTS,
    "GET /algorithms/": ACCOUNTS,
    "GET /boards/<name>": EVERYBODY,
    "GET /boards/<name>/submissions/<submission_id>": EVERYBODY,  # by cookie only, so keys have no effect
    "GET /boards/<name>/submissions/<submission_id>/<kind>": EVERYBODY,  # likewise
    "GET /challenges/": EVERYBODY,
    "GET /challenges/<name>/": EVERYBODY,
    "GET /challenges/<name>/leaderboard": EVERYBODY,
    "GET /challenges/<name>/leaderboard/history": EVERYBODY,
    "GET /challenges/<name>/submissions/": ACCOUNTS,
    "GET /challenges/<name>/team/": ACCOUNTS,  # its own
    "GET /config/": ACCOUNTS,
    "GET /docs": EVERYBODY,
    "GET /environments/": ACCOUNTS,
    "GET /experiments/": ACCOUNTS,
    "GET /experiments/<experiment_id>/": {"owner", "admin"},
    "GET /experiments/<experiment_id>/advice": {"owner", "admin"},
    "GET /experiments/<experiment_id>/advice/stream": {"owner", "admin"},
    "GET /experiments/<experiment_id>/curve": {"owner", "admin"},
    "GET /experiments/<experiment_id>/log": {"owner", "admin"},
    "GET /experiments/<experiment_id>/metrics/": {"owner", "admin"},
    "GET /experiments/<experiment_id>/metrics/stream": {"owner", "admin"},
    "GET /experiments/<experiment_id>/results/": {"owner", "admin"},
    "GET /experiments/<experiment_id>/video": {"owner", "admin"},
    "GET /experiments/metrics/": ACCOUNTS,
    "GET /health": EVERYBODY,
    "GET /health/live": EVERYBODY,
    "GET /health/ready": EVERYBODY,
    "GET /login": EVERYBODY,
    "GET /metrics": {"admin"},
    "GET /models/": ACCOUNTS,  # its own
    "GET /models/<model_id>/": {"owner", "admin"},
    "GET /models/<int:model_id>/train-data/": {"owner", "admin"},
    "GET /models/<model_id>/file": {"owner", "admin"},
    "GET /models/<model_id>/graph": {"owner", "admin"},
    "GET /models/<model_id>/onnx": {"owner", "admin"},
    "GET /openapi.json": EVERYBODY,
    "GET /redoc": EVERYBODY,
    "GET /setup/<secret>": EVERYBODY,
    "GET /signing-key": EVERYBODY,
    "GET /static/<path:filename>": EVERYBODY,
    "GET /submissions/<submission_id>/": {"owner", "admin"},  # and the challenge's organiser
    "GET /submissions/<submission_id>/bundle": EVERYBODY,  # once the phase is over
    "GET /submissions/<submission_id>/media/": {"owner", "admin"},  # and everybody once the phase is over
    "GET /submissions/<submission_id>/media/<kind>": {"owner", "admin"},
    "GET /submissions/<submission_id>/receipt": {"owner", "admin"},
    "GET /sys_info/": {"admin"},
    "GET /training": EVERYBODY,  # these pages are by cookie only, so keys have no effect
    "GET /training/<experiment_id>": EVERYBODY,
    "GET /training/<experiment_id>/advice": EVERYBODY,
    "GET /training/<experiment_id>/curve": EVERYBODY,
    "GET /training/<experiment_id>/live": EVERYBODY,
    "GET /training/<experiment_id>/metrics": EVERYBODY,
    "GET /training/<experiment_id>/sparkline": EVERYBODY,
    "GET /training/<experiment_id>/video": EVERYBODY,
    "GET /training/models": EVERYBODY,
    "GET /training/models/<model_id>/file": EVERYBODY,
    "GET /users/": ACCOUNTS,
    "GET /users/<int:user_id>/": {"owner", "admin"},
    "GET /users/<int:user_id>/keys/": {"owner", "admin"},
    "GET /users/<int:user_id>/projects/": {"owner", "admin"},
    "GET /users/<int:user_id>/projects/<int:project_id>/": {"owner", "admin"},
    "GET /users/<int:user_id>/projects/<int:project_id>/experiments/": {"owner", "admin"},
    "GET /users/<int:user_id>/projects/<int:project_id>/experiments/<int:number>/": {"owner", "admin"},
    "GET /users/me": ACCOUNTS,
    "GET /v1/environments/": ACCOUNTS,
    "GET /v1/environments/<path:env_id>/": ACCOUNTS,
    "GET /v1/envs/": ACCOUNTS,
    "GET /v1/envs/<instance_id>/": {"owner", "admin"},
    "GET /v1/envs/<instance_id>/action_space/": {"owner", "admin"},
    "GET /v1/envs/<instance_id>/action_space/contains/<path:x>": {"owner", "admin"},
    "GET /v1/envs/<instance_id>/action_space/sample": {"owner", "admin"},
    "GET /v1/envs/<instance_id>/observation_space/": {"owner", "admin"},
    "GET /v1/envs/<instance_id>/render": {"owner", "admin"},
    "GET /v1/envs/<instance_id>/stream": {"owner", "admin"},
    "DELETE /challenges/<name>/team/": ACCOUNTS,
    "DELETE /experiments/<experiment_id>/": {"owner", "admin"},
    "DELETE /models/<model_id>/": {"owner", "admin"},
    "DELETE /users/<int:user_id>/": {"owner", "admin"},
    "DELETE /users/<int:user_id>/keys/<int:key_id>/": {"owner", "admin"},
    "DELETE /users/<int:user_id>/projects/<int:project_id>/": {"owner", "admin"},
    "PATCH /api/external_graders/<key_or_submission>": {"organiser", "admin"},
    "PATCH /models/<model_id>/": {"owner", "admin"},
    "PATCH /users/<int:user_id>/": {"owner", "admin"},
    "PATCH /users/<int:user_id>/projects/<int:project_id>/": {"owner", "admin"},
    "POST /account/name": EVERYBODY,  # by cookie only
    "POST /account/keys": EVERYBODY,  # by cookie only, so keys have no effect
    "POST /account/keys/<int:key_id>/revoke": EVERYBODY,
    "POST /account/password": EVERYBODY,
    "POST /api/external_graders": {"organiser", "admin"},
    "POST /api/v1/create_session": ACCOUNTS,
    "POST /api/v1/delete_session": ACCOUNTS,
    "POST /api/v1/evaluate": ACCOUNTS,
    "POST /api/v1/get_all_envs": ACCOUNTS,
    "POST /api/v1/get_all_tracks": ACCOUNTS,
    "POST /api/v1/push_model": ACCOUNTS,
    "POST /api/v1/write_agent_parameters": ACCOUNTS,
    "POST /api/v1/write_agent_params": ACCOUNTS,
    "POST /api/v1/write_env_params": ACCOUNTS,
    "POST /api/v1/write_reward_fn": ACCOUNTS,
    "POST /api/v1/write_training_params": ACCOUNTS,
    "POST /boards/<name>/submissions/<submission_id>": EVERYBODY,  # redirects to the login; by cookie only
    "POST /challenges/": {"organiser", "admin"},
    "POST /challenges/<name>/close/": {"admin"},  # and its own organiser
    "POST /challenges/<name>/open/": {"admin"},
    "POST /challenges/<name>/submissions/": ACCOUNTS,
    "POST /challenges/<name>/team/": ACCOUNTS,
    "POST /challenges/<name>/team/invitation": ACCOUNTS,
    "POST /experiments/": ACCOUNTS,
    "POST /experiments/<experiment_id>/copy/": {"owner", "admin"},
    "POST /experiments/<experiment_id>/pause/": {"owner", "admin"},
    "POST /experiments/<experiment_id>/resume/": {"owner", "admin"},
    "POST /experiments/<experiment_id>/retry/": {"owner", "admin"},
    "POST /experiments/<experiment_id>/stop/": {"owner", "admin"},
    "POST /experiments/<experiment_id>/train/": {"owner", "admin"},
    "POST /login": EVERYBODY,
    "POST /logout": EVERYBODY,
    "POST /models/": ACCOUNTS,
    "POST /models/<model_id>/submit": {"owner", "admin"},
    "POST /models/upload": ACCOUNTS,
    "POST /models/<model_id>/predict": {"owner", "admin"},
    "POST /models/<model_id>/push": {"owner", "admin"},
    "POST /models/<model_id>/retrain": {"owner", "admin"},
    "POST /models/<model_id>/rollout": {"owner", "admin"},
    "POST /setup/<secret>": EVERYBODY,
    "POST /stop-train/": ACCOUNTS,  # its own
    "POST /submissions/<submission_id>/accept/": {"admin"},  # and the challenge's organiser
    "POST /submissions/<submission_id>/media/": {"admin"},  # and the challenge's organiser
    "POST /submissions/<submission_id>/void/": {"admin"},  # likewise
    "POST /testmodel/": ACCOUNTS,  # its own
    "POST /tickets/": ACCOUNTS,
    "POST /token": EVERYBODY,
    "POST /training": EVERYBODY,
    "POST /training/<experiment_id>": EVERYBODY,
    "POST /training/models/<model_id>": EVERYBODY,
    "POST /train/": ACCOUNTS,
    "POST /trainingassistent/": ACCOUNTS,
    "POST /users/": {"admin"},  # and everybody, if SIGN_UP is on
    "POST /users/<int:user_id>/keys/": {"owner", "admin"},
    "POST /users/<int:user_id>/projects/": {"owner", "admin"},
    "POST /users/<int:user_id>/projects/<int:project_id>/experiments/": {"owner", "admin"},
    "POST /users/<int:user_id>/projects/<int:project_id>/experiments/<int:number>/stop/": {"owner", "admin"},
    "POST /v1/envs/": ACCOUNTS,
    "POST /v1/envs/<instance_id>/close/": {"owner", "admin"},
    "POST /v1/envs/<instance_id>/monitor/close/": {"owner", "admin"},
    "POST /v1/envs/<instance_id>/monitor/start/": {"owner", "admin"},
    "POST /v1/envs/<instance_id>/observation_space/contains": {"owner", "admin"},
    "POST /v1/envs/<instance_id>/reset/": {"owner", "admin"},
    "POST /v1/envs/<instance_id>/step/": {"owner", "admin"},
    "POST /v1/shutdown/": {"admin"},
    "POST /v1/upload/": ACCOUNTS,
    "PUT /experiments/<experiment_id>/": {"owner", "admin"},
}
REFUSALS = {401, 403, 404}


def routes(folder: Any) -> set[str]:
    names = set()
    for rule in create_app(Settings(DATA=str(folder))).url_map.iter_rules():
        names |= {f"{method} {rule.rule}" for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    return names


def test_every_route_is_in_the_table(tmp_path: Any) -> None:
    assert routes(tmp_path) == set(TABLE)


CHALLENGE = {"name": "table", "environment": "CartPole-v1", "trials": {"number": 2}}


@pytest.fixture(scope="module")
def submission(secured: Secured) -> str:
    assert secured.ask("admin", "POST", "/challenges/", {"definition": CHALLENGE}).status == 200
    return str(secured.ask("participant", "POST", "/challenges/table/submissions/").json["submission_id"])


@pytest.fixture(scope="module")
def experiment(secured: Secured) -> str:
    payload = {"name": "x", "algorithm": "PPO", "environment": "CartPole-v1"}
    return str(secured.ask("participant", "POST", "/experiments", payload).json["id"])


def path_of(route: str, secured: Secured, token: str, submission: str, experiment: str) -> str:
    values = {
        "instance_id": token, "user_id": str(secured.ids["participant"]), "x": "1", "env_id": "CartPole-v1",
        "name": "table", "submission_id": submission, "experiment_id": experiment,
    }  # fmt: skip
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda match: values.get(match[1], "1"), route.partition(" ")[2])


@pytest.mark.parametrize("route", sorted(TABLE))
def test_routes_admit_the_roles_in_the_table(secured: Secured, submission: str, experiment: str, route: str) -> None:
    """Roles in the table get a response, even if it says that something is missing; all others are refused."""
    method, token = route.partition(" ")[0], ""
    if "<instance_id>" in route:
        token = secured.ask("participant", "POST", "/v1/envs/", {"env_id": "CartPole-v1"}).json["instance_id"]
    path = path_of(route, secured, token, submission, experiment)
    callers = {"nobody": "nobody", "participant": "other", "organiser": "organiser", "admin": "admin"}
    if "owner" in TABLE[route]:
        callers["owner"] = "participant"
    destructive = method == "DELETE" or route in (
        "POST /v1/shutdown/",
        "POST /v1/envs/<instance_id>/close/",
        "POST /experiments/<experiment_id>/train/",
    )
    for role, who in callers.items():
        if destructive and role in TABLE[route]:
            continue  # other tests cover these
        answer = secured.ask(who, method, path, {} if method in ("POST", "PATCH", "PUT") else None)
        if role not in TABLE[route]:
            assert answer.status in REFUSALS, (role, answer.status, answer.body)
            assert (answer.status == 401) == (role == "nobody"), (role, answer.status, answer.body)
        else:
            not_found = ("is no", "in no team", "is invalid", "did not match")
            missing = answer.status == 404 and (
                any(words in str(answer.body) for words in not_found) or "/setup/" in path or "/static/" in path
            )
            assert answer.status not in REFUSALS or missing, (role, answer.status, answer.body)
    assert not token or secured.ask("participant", "POST", f"/v1/envs/{token}/close/").status == 204


@pytest.mark.long
def test_only_administrators_shut_down(start: Any) -> None:
    server: Server = start(AUTH="token")
    _, key = server.account("a", "organiser")
    _, admin = server.account("b", "admin")
    assert server.post("/v1/shutdown/").status == 401
    assert server.post("/v1/shutdown/", Authorization=f"Bearer {key}").status == 403
    assert server.post("/v1/shutdown/", Authorization=f"Bearer {admin}").body == b"Server shutting down"
    assert server.process.wait(30) == 0
