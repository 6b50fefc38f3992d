"""RUNT's login, and its models and trainings on a server with accounts."""

from collections.abc import Iterator

import pytest

from tests.conftest import Secured
from tests.support.servers import PASSWORD, Server
from tests.training.conftest import Trainer
from tests.web.dialects.runt_client import PATHS, TRAINING, is_error, model, never_started, send

ROW = "RUNT's requests hold a shell's words, odd numbers, others' ids"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainer]:
    started = Trainer(tmp_path_factory.mktemp("guarded"), AUTH="token", LOGIN_ATTEMPTS=5, ACCOUNT_EXPERIMENTS=1)
    yield started
    started.stop()
    started.end_experiments()


@pytest.mark.parametrize("kind", ["json", "form"])
@pytest.mark.parametrize("path", ["/login", pytest.param("/login/", marks=pytest.mark.long)])
def test_a_login_returns_a_token_for_all_other_requests(secured: Secured, kind: str, path: str) -> None:
    name = f"{kind}{len(path)}@example.org"
    secured.server.account(name)
    answer = send(secured.server, path, {"username": name, "password": PASSWORD}, kind)
    assert (answer.status, answer.json["status"], answer.json["message"]) == (200, "success", "登录成功")
    assert "Set-Cookie" not in answer.headers
    bearer = {"Authorization": f"Bearer {answer.json['data']['access_token']}"}
    assert secured.server.get("/models/", **bearer).json["data"]["total"] == 0
    for payload in (
        {"username": name, "password": "wrong"},
        {"username": "nobody", "password": PASSWORD},
        {"username": 7},
    ):
        refused = send(secured.server, path, payload, kind)
        assert (refused.status, refused.json["status"], refused.json["message"]) == (200, "error", "用户名或密码错误")
        assert "access_token" not in refused.body.decode()
    odd = send(secured.server, path, {"username": "\ud800", "password": "\ud800"}, "json")
    assert odd.status == 400 and odd.json["status"] == "error"


@pytest.mark.long
def test_guessed_passwords_are_slowed_down(guarded: Trainer) -> None:
    guarded.account("guessed@example.org")
    payload = {"username": "guessed@example.org", "password": "wrong"}
    answers = [send(guarded, "/login/", payload) for _ in range(6)]
    assert [each.status for each in answers] == [200] * 5 + [429]
    is_error(answers[5], 429, "LOGIN_ATTEMPTS")
    assert int(answers[5].headers["Retry-After"]) >= 1
    is_error(send(guarded, "/login/", {**payload, "password": PASSWORD}), 429, "LOGIN_ATTEMPTS")


def test_the_login_page_still_needs_its_csrf_token(secured: Secured) -> None:
    form = {"email": "x@example.org", "password": PASSWORD}
    assert send(secured.server, "/login", form).status == 400
    assert b"<form" in secured.server.get("/login").body and b"<form" in secured.server.get("/login/").body
    other = send(secured.server, "/login/", {"username": "x", "password": "y"}, Origin="https://elsewhere.example")
    assert other.status == 403
    is_error(secured.server.post("/login", b"{", Content_Type="application/json"), 400, "json")


def test_every_request_needs_a_token(secured: Secured) -> None:
    for path in PATHS:
        is_error(secured.server.post(path, {}), 401, "Authorization")
    for path in ("/models/", "/models/1/train-data/"):
        is_error(secured.server.get(path), 401, "Authorization")


def is_unknown(server: Server, number: int, **headers: str) -> None:
    """Check that all requests are answered as if there were no such model."""
    question = {"model_id": number, "observation": [0.5] * 12}
    for answer in (
        send(server, "/stop-train/", {"model_id": number}, **headers),
        send(server, "/testmodel/", question, "json", **headers),
        server.get(f"/models/{number}/train-data/", **headers),
    ):
        is_error(answer, 404, f"模型ID {number} 不存在")


@pytest.mark.guarantee(ROW)
def test_models_are_unknown_to_other_accounts(secured: Secured) -> None:
    keys = {name: {"Authorization": f"Bearer {key}"} for name, key in secured.keys.items()}
    number = never_started(secured.server, secured.ids["participant"], **keys["participant"])
    assert model(secured.server, number, **keys["participant"])["id"] == number
    assert model(secured.server, number, **keys["admin"])["id"] == number
    listed = secured.server.get("/models/?page_size=100", **keys["other"]).json["data"]["models"]
    assert number not in [each["id"] for each in listed]
    is_unknown(secured.server, number, **keys["other"])


@pytest.mark.long
def test_accounts_cannot_stop_others_trainings_and_have_a_limit(guarded: Trainer) -> None:
    keys = {name: {"Authorization": f"Bearer {guarded.account(name, role)[1]}"} for name, role in
            (("owner", "participant"), ("stranger", "participant"), ("root", "admin"))}  # fmt: skip
    training = send(guarded, "/train/", {**TRAINING, "target_episode": 100_000}, **keys["owner"])
    number = training.json["id"]
    assert model(guarded, number, **keys["owner"])["id"] == model(guarded, number, **keys["root"])["id"] == number
    assert guarded.get("/models/", **keys["stranger"]).json["data"] | {"models": []} == {
        "total": 0, "page": 1, "page_size": 10, "total_pages": 1, "models": [],
    }  # fmt: skip
    is_unknown(guarded, number, **keys["stranger"])
    refused = send(guarded, "/train/", TRAINING, **keys["owner"])
    is_error(refused, 429, "ACCOUNT_EXPERIMENTS = 1")  # and no experiment is left behind
    assert guarded.get("/models/", **keys["owner"]).json["data"]["total"] == 1
    assert send(guarded, "/stop-train/", {"model_id": number}, **keys["root"]).json["data"]["state"] == "stopped"
