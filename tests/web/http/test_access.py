"""One table of who may do what; and whose instance is whose."""

import re
import socket
from typing import Any

import pytest

from gymserve.hosts import folders
from gymserve.settings import Settings
from gymserve.web.app import create_app
from tests.conftest import Secured
from tests.support.servers import Server

EVERYBODY = {"nobody", "participant", "organiser", "admin"}
ACCOUNTS = {"participant", "organiser", "admin"}
# Who is let in by each route. For those of an instance or an account, "owner" is the participant whose it is, and
# "participant" another one.
TABLE = {
    "GET /": EVERYBODY,
    "GET /account": EVERYBODY,
    "GET /api/external_graders/<key_or_submission>": {"organiser", "admin"},
    "GET /api/submissions": {"organiser", "admin"},
    "GET /api/submissions/<submission_id>": {"organiser", "admin"},  # of what its own grader has entered
    "GET /api/v1/evaluate": ACCOUNTS,  # of one's own sessions, as all of these
    "GET /api/v1/final_eval_score": ACCOUNTS,
    "GET /api/v1/get_all_params": ACCOUNTS,
    "GET /api/v1/get_all_sessions": ACCOUNTS,
    "GET /api/v1/get_user_list": ACCOUNTS,
    "GET /api/v1/stop": ACCOUNTS,
    "GET /api/v1/stream": ACCOUNTS,
    "GET /algorithms/": ACCOUNTS,
    "GET /boards/<name>": EVERYBODY,
    "GET /boards/<name>/submissions/<submission_id>": EVERYBODY,  # by cookie only, so keys lead nowhere
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
    "GET /models/": ACCOUNTS,  # one's own
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
    "GET /training": EVERYBODY,  # these pages by cookie only, so keys lead nowhere
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
    "POST /account/keys": EVERYBODY,  # by cookie only, so keys lead nowhere
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
    "POST /boards/<name>/submissions/<submission_id>": EVERYBODY,  # led to the login; the organiser's session decides
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
    "POST /stop-train/": ACCOUNTS,  # one's own
    "POST /submissions/<submission_id>/accept/": {"admin"},  # and the challenge's organiser
    "POST /submissions/<submission_id>/media/": {"admin"},  # and the challenge's organiser
    "POST /submissions/<submission_id>/void/": {"admin"},  # likewise
    "POST /testmodel/": ACCOUNTS,  # one's own
    "POST /tickets/": ACCOUNTS,
    "POST /token": EVERYBODY,
    "POST /training": EVERYBODY,
    "POST /training/<experiment_id>": EVERYBODY,
    "POST /training/models/<model_id>": EVERYBODY,
    "POST /train/": ACCOUNTS,
    "POST /trainingassistent/": ACCOUNTS,
    "POST /users/": {"admin"},  # and everybody, where SIGN_UP is open
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
    found = set()
    for rule in create_app(Settings(DATA=str(folder))).url_map.iter_rules():
        found |= {f"{method} {rule.rule}" for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    return found


def test_every_route_is_in_the_table(tmp_path: Any) -> None:
    assert routes(tmp_path) == set(TABLE)


CHALLENGE = {"name": "table", "environment": "CartPole-v1", "trials": {"number": 2}}


@pytest.fixture(scope="module")
def submission(secured: Secured) -> str:
    assert secured.ask("admin", "POST", "/challenges/", {"definition": CHALLENGE}).status == 200
    return str(secured.ask("participant", "POST", "/challenges/table/submissions/").json["submission_id"])


@pytest.fixture(scope="module")
def experiment(secured: Secured) -> str:
    asked = {"name": "x", "algorithm": "PPO", "environment": "CartPole-v1"}
    return str(secured.ask("participant", "POST", "/experiments", asked).json["id"])


def path_of(route: str, secured: Secured, token: str, submission: str, experiment: str) -> str:
    values = {
        "instance_id": token, "user_id": str(secured.ids["participant"]), "x": "1", "env_id": "CartPole-v1",
        "name": "table", "submission_id": submission, "experiment_id": experiment,
    }  # fmt: skip
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda match: values.get(match[1], "1"), route.partition(" ")[2])


@pytest.mark.parametrize("route", sorted(TABLE))
def test_who_is_let_in(secured: Secured, submission: str, experiment: str, route: str) -> None:
    """Whoever the table does not name is refused; whoever it names is answered, if only with what is missing."""
    method, token = route.partition(" ")[0], ""
    if "<instance_id>" in route:
        token = secured.ask("participant", "POST", "/v1/envs/", {"env_id": "CartPole-v1"}).json["instance_id"]
    path = path_of(route, secured, token, submission, experiment)
    asking = {"nobody": "nobody", "participant": "other", "organiser": "organiser", "admin": "admin"}
    if "owner" in TABLE[route]:
        asking["owner"] = "participant"
    destructive = method == "DELETE" or route in (
        "POST /v1/shutdown/",
        "POST /v1/envs/<instance_id>/close/",
        "POST /experiments/<experiment_id>/train/",
    )
    for role, who in asking.items():
        if destructive and role in TABLE[route]:
            continue  # tests of their own do these
        answer = secured.ask(who, method, path, {} if method in ("POST", "PATCH", "PUT") else None)
        if role not in TABLE[route]:
            assert answer.status in REFUSALS, (role, answer.status, answer.body)
            assert (answer.status == 401) == (role == "nobody"), (role, answer.status, answer.body)
        else:
            unsaid = ("is no", "is invalid", "did not match")
            missing = answer.status == 404 and (
                any(words in str(answer.body) for words in unsaid) or "/setup/" in path or "/static/" in path
            )
            assert answer.status not in REFUSALS or missing, (role, answer.status, answer.body)
    assert not token or secured.ask("participant", "POST", f"/v1/envs/{token}/close/").status == 204


@pytest.fixture
def token(secured: Secured) -> str:
    made = secured.ask("participant", "POST", "/v1/envs/", {"env_id": "CartPole-v1", "render_mode": "rgb_array"})
    assert secured.ask("participant", "POST", f"/v1/envs/{made.json['token']}/reset/").status == 200
    return str(made.json["token"])


def test_anothers_instance_is_as_if_there_were_none(secured: Secured, token: str) -> None:
    assert folders.owner_of(token) == secured.ids["participant"]
    nothing = folders.new_token("s0", secured.ids["participant"])
    unowned = folders.new_token("s0")
    for path, method, body in (
        ("step/", "POST", {"action": 1}),
        ("reset/", "POST", {}),
        ("", "GET", None),
        ("render", "GET", None),
        ("stream", "GET", None),
        ("close/", "POST", {}),
    ):
        answers = {}
        for one in (token, nothing, unowned):
            answer = secured.ask("other", method, f"/v1/envs/{one}/{path}", body)
            assert answer.status == 404
            answers[one] = answer.json["message"].replace(one, "IT")
        assert len(set(answers.values())) == 1, answers
    assert secured.ask("admin", "POST", f"/v1/envs/{token}/step/", {"action": 1}).status == 200
    assert secured.ask("participant", "POST", f"/v1/envs/{token}/step/", {"action": 1}).status == 200


def test_lists_hold_ones_own(secured: Secured, token: str) -> None:
    assert token in secured.ask("participant", "GET", "/v1/envs/").json["all_envs"]
    assert token not in secured.ask("other", "GET", "/v1/envs/").json["all_envs"]
    assert token in secured.ask("admin", "GET", "/v1/envs/").json["all_envs"]


@pytest.mark.guarantee("a token or login is forged")
def test_a_forged_owner_in_a_token_leads_nowhere(secured: Secured, token: str) -> None:
    slot, random = token.partition(".")[0], token.partition("-")[2]
    mine = f"{slot}.{secured.ids['other']}-{random}"
    assert secured.ask("other", "POST", f"/v1/envs/{mine}/step/", {"action": 1}).status == 400
    alone = token.replace(".", "~")
    assert secured.ask("nobody", "POST", f"/v1/envs/{alone}/step/", {"action": 1}).status == 400


def test_old_clients_send_their_key_once(secured: Secured) -> None:
    """osim-rl-grader's client: the key is the body's `token` on creation, and no request after it carries any.

    No challenge may be open for this environment: its submission would be begun.
    """
    asked = {"env_id": "Taxi-v3", "token": secured.keys["participant"], "version": "3.0.11"}
    made = secured.ask("nobody", "POST", "/v1/envs/", asked)
    assert made.status == 200, made.body
    token = made.json["instance_id"]
    assert token not in secured.keys["participant"]
    assert secured.ask("nobody", "POST", f"/v1/envs/{token}/reset/").status == 200
    assert secured.ask("nobody", "POST", f"/v1/envs/{token}/step/", {"action": 1}).status == 200
    assert secured.ask("other", "POST", f"/v1/envs/{token}/step/", {"action": 1}).status == 404
    assert secured.ask("participant", "GET", "/v1/envs/").json["all_envs"][token] == "Taxi-v3"
    refused = secured.ask("nobody", "POST", "/v1/envs/", asked | {"token": "wrong"})
    assert (refused.status, refused.json["message"]) == (400, "The API key did not match any participant record.")
    assert secured.ask("nobody", "POST", "/v1/envs/", {"env_id": "Taxi-v3"}).status == 401


def test_the_same_idempotency_key_of_two_accounts_is_two(secured: Secured) -> None:
    tokens = {
        who: secured.ask(who, "POST", "/v1/envs/", {"env_id": "CartPole-v1"}, Idempotency_Key="same").json["token"]
        for who in ("participant", "other", "participant")
    }
    assert folders.owner_of(tokens["participant"]) != folders.owner_of(tokens["other"])


def test_a_key_is_good_for_its_scopes_only(secured: Secured) -> None:
    mine = secured.ids["participant"]
    made = secured.ask("participant", "POST", f"/users/{mine}/keys/", {"name": "agent", "scopes": ["environments"]})
    narrow = {"Authorization": f"Bearer {made.json['key']}"}
    server = secured.server
    token = server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **narrow).json["token"]
    assert server.post(f"/v1/envs/{token}/reset/", **narrow).status == 200
    for answer in (
        server.get(f"/users/{mine}/", **narrow),
        server.post(f"/users/{mine}/keys/", {"name": "more"}, **narrow),
        server.get(f"/users/{mine}/projects/", **narrow),
    ):
        assert answer.status == 403 and "lacks the scope" in answer.json["message"]
    training = secured.ask("participant", "POST", f"/users/{mine}/keys/", {"name": "t", "scopes": ["account"]})
    limited = {"Authorization": f"Bearer {training.json['key']}"}
    assert server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **limited).status == 403
    assert server.post(f"/v1/envs/{token}/step/", {"action": 1}, **limited).status == 403
    widened = server.post(f"/users/{mine}/keys/", {"name": "all"}, **limited)
    assert widened.status == 403 and "more than itself" in widened.json["message"]


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer ", "bearer x", "Token token=x", "x" * 5000])
def test_what_is_no_key_is_refused(secured: Secured, header: str, token: str) -> None:
    for path in ("/users/", f"/v1/envs/{token}/step/"):
        method = "POST" if "step" in path else "GET"
        answer = secured.server.request(method, path, {"action": 1} if "step" in path else None, Authorization=header)
        assert answer.status == 401 and answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_streams_handshake_needs_the_owner(secured: Secured, token: str) -> None:
    def status(who: str) -> int:
        lines = [
            f"GET /v1/envs/{token}/stream HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ]  # fmt: skip
        if who != "nobody":
            lines.append(f"Authorization: Bearer {secured.keys[who]}")
        with socket.create_connection(("127.0.0.1", secured.server.port)) as sock:
            sock.sendall("\r\n".join([*lines, "", ""]).encode())
            return int(sock.recv(1000).split()[1])

    assert {who: status(who) for who in ("nobody", "other", "participant", "admin")} == {
        "nobody": 401, "other": 404, "participant": 101, "admin": 101,
    }  # fmt: skip


@pytest.mark.long
def test_a_server_that_was_open_keeps_its_instances_to_administrators(start: Any) -> None:
    server: Server = start()
    token = server.create("CartPole-v1")
    server.post(f"/v1/envs/{token}/reset/")
    server.stop()
    server.settings["AUTH"] = "token"
    server.start()
    _, key = server.account("a")
    _, admin = server.account("b", "admin")
    assert server.post(f"/v1/envs/{token}/step/", {"action": 1}).status == 401
    assert server.post(f"/v1/envs/{token}/step/", {"action": 1}, Authorization=f"Bearer {key}").status == 404
    assert server.post(f"/v1/envs/{token}/step/", {"action": 1}, Authorization=f"Bearer {admin}").status == 200


@pytest.mark.long
def test_shutdown_is_the_administrators(start: Any) -> None:
    server: Server = start(AUTH="token")
    _, key = server.account("a", "organiser")
    _, admin = server.account("b", "admin")
    assert server.post("/v1/shutdown/").status == 401
    assert server.post("/v1/shutdown/", Authorization=f"Bearer {key}").status == 403
    assert server.post("/v1/shutdown/", Authorization=f"Bearer {admin}").body == b"Server shutting down"
    assert server.process.wait(30) == 0
