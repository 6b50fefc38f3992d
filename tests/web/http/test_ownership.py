"""Instances belong to accounts: their tokens, keys and streams are of no use to other accounts."""

import socket
from typing import Any

import pytest

from gymserve.hosts import folders
from tests.conftest import Secured
from tests.support.servers import Server


@pytest.fixture
def token(secured: Secured) -> str:
    answer = secured.ask("participant", "POST", "/v1/envs/", {"env_id": "CartPole-v1", "render_mode": "rgb_array"})
    assert secured.ask("participant", "POST", f"/v1/envs/{answer.json['token']}/reset/").status == 200
    return str(answer.json["token"])


def test_an_instance_is_unknown_to_other_accounts(secured: Secured, token: str) -> None:
    assert folders.owner_of(token) == secured.ids["participant"]
    unused = folders.new_token("s0", secured.ids["participant"])
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
        for candidate in (token, unused, unowned):
            answer = secured.ask("other", method, f"/v1/envs/{candidate}/{path}", body)
            assert answer.status == 404
            answers[candidate] = answer.json["message"].replace(candidate, "TOKEN")
        assert len(set(answers.values())) == 1, answers
    assert secured.ask("admin", "POST", f"/v1/envs/{token}/step/", {"action": 1}).status == 200
    assert secured.ask("participant", "POST", f"/v1/envs/{token}/step/", {"action": 1}).status == 200


def test_accounts_list_only_their_own_instances(secured: Secured, token: str) -> None:
    assert token in secured.ask("participant", "GET", "/v1/envs/").json["all_envs"]
    assert token not in secured.ask("other", "GET", "/v1/envs/").json["all_envs"]
    assert token in secured.ask("admin", "GET", "/v1/envs/").json["all_envs"]


@pytest.mark.guarantee("a token or login is forged")
def test_a_forged_owner_in_a_token_is_useless(secured: Secured, token: str) -> None:
    slot, random = token.partition(".")[0], token.partition("-")[2]
    forged = f"{slot}.{secured.ids['other']}-{random}"
    assert secured.ask("other", "POST", f"/v1/envs/{forged}/step/", {"action": 1}).status == 400
    keyless = token.replace(".", "~")
    assert secured.ask("nobody", "POST", f"/v1/envs/{keyless}/step/", {"action": 1}).status == 400


def test_old_clients_send_their_key_once(secured: Secured) -> None:
    """osim-rl-grader's client sends the key as the body's `token` on creation, and no key afterwards.

    No challenge may be open for this environment, since the request would begin a submission.
    """
    payload = {"env_id": "Taxi-v3", "token": secured.keys["participant"], "version": "3.0.11"}
    answer = secured.ask("nobody", "POST", "/v1/envs/", payload)
    assert answer.status == 200, answer.body
    token = answer.json["instance_id"]
    assert token not in secured.keys["participant"]
    assert secured.ask("nobody", "POST", f"/v1/envs/{token}/reset/").status == 200
    assert secured.ask("nobody", "POST", f"/v1/envs/{token}/step/", {"action": 1}).status == 200
    assert secured.ask("other", "POST", f"/v1/envs/{token}/step/", {"action": 1}).status == 404
    assert secured.ask("participant", "GET", "/v1/envs/").json["all_envs"][token] == "Taxi-v3"
    refused = secured.ask("nobody", "POST", "/v1/envs/", payload | {"token": "wrong"})
    assert (refused.status, refused.json["message"]) == (400, "The API key did not match any participant record.")
    assert secured.ask("nobody", "POST", "/v1/envs/", {"env_id": "Taxi-v3"}).status == 401


def test_idempotency_keys_are_per_account(secured: Secured) -> None:
    tokens = {
        who: secured.ask(who, "POST", "/v1/envs/", {"env_id": "CartPole-v1"}, Idempotency_Key="same").json["token"]
        for who in ("participant", "other", "participant")
    }
    assert folders.owner_of(tokens["participant"]) != folders.owner_of(tokens["other"])


def test_keys_are_limited_to_their_scopes(secured: Secured) -> None:
    user_id = secured.ids["participant"]
    key = secured.ask("participant", "POST", f"/users/{user_id}/keys/", {"name": "agent", "scopes": ["environments"]})
    narrow = {"Authorization": f"Bearer {key.json['key']}"}
    server = secured.server
    token = server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **narrow).json["token"]
    assert server.post(f"/v1/envs/{token}/reset/", **narrow).status == 200
    for answer in (
        server.get(f"/users/{user_id}/", **narrow),
        server.post(f"/users/{user_id}/keys/", {"name": "more"}, **narrow),
        server.get(f"/users/{user_id}/projects/", **narrow),
    ):
        assert answer.status == 403 and "lacks the scope" in answer.json["message"]
    training = secured.ask("participant", "POST", f"/users/{user_id}/keys/", {"name": "t", "scopes": ["account"]})
    limited = {"Authorization": f"Bearer {training.json['key']}"}
    assert server.post("/v1/envs/", {"env_id": "CartPole-v1"}, **limited).status == 403
    assert server.post(f"/v1/envs/{token}/step/", {"action": 1}, **limited).status == 403
    widened = server.post(f"/users/{user_id}/keys/", {"name": "all"}, **limited)
    assert widened.status == 403 and "more scopes than its own" in widened.json["message"]


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer ", "bearer x", "Token token=x", "x" * 5000])
def test_invalid_keys_are_refused(secured: Secured, header: str, token: str) -> None:
    for path in ("/users/", f"/v1/envs/{token}/step/"):
        method = "POST" if "step" in path else "GET"
        answer = secured.server.request(method, path, {"action": 1} if "step" in path else None, Authorization=header)
        assert answer.status == 401 and answer.headers["WWW-Authenticate"] == "Bearer"


def test_only_owners_and_administrators_open_a_stream(secured: Secured, token: str) -> None:
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
def test_instances_of_an_open_server_belong_to_administrators_later(start: Any) -> None:
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
