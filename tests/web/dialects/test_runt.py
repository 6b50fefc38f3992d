"""RUNT's requests as its document lists them and its own client sends them, good and bad, in both bodies."""

import http.client
import json
import re
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from gymserve.web.dialects.runt.api import smoothed
from tests.conftest import Secured
from tests.support.servers import PASSWORD, Answer, Server, wait_for
from tests.training.conftest import Trainer

FORM = "application/x-www-form-urlencoded"
# As RUNT's page fills its form in, but for a short training.
ASKED = {
    "algorithm": "PPO", "target_episode": 12, "task_size_average": 450, "task_comsumption_average": 4500,
    "task_time_average": 5, "task_arrival_rate": 0.3, "n_UE": 2, "UE_computation_capacity": 1000,
    "MEC_computation_capacity": 5000, "seed": 777, "learning_rate": 0.003, "batch_size": 64, "gamma": 0.99,
}  # fmt: skip
ROW = "RUNT's requests hold a shell's words, odd numbers, others' ids"
PATHS = ("/train", "/stop-train", "/testmodel", "/trainingassistent")


@pytest.fixture(scope="module")
def runt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainer]:
    started = Trainer(tmp_path_factory.mktemp("runt"))
    yield started
    started.stop()
    started.end_experiments()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainer]:
    started = Trainer(tmp_path_factory.mktemp("guarded"), AUTH="token", LOGIN_ATTEMPTS=5, ACCOUNT_EXPERIMENTS=1)
    yield started
    started.stop()
    started.end_experiments()


def send(server: Server, path: str, asked: Any, kind: str = "form", **headers: str) -> Answer:
    if kind == "json":
        return server.post(path, asked, **headers)
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in asked.items()}
    return server.post(path, urllib.parse.urlencode(texts).encode(), Content_Type=FORM, **headers)


def model(server: Server, number: int, **headers: str) -> dict[str, Any]:
    found = server.get("/models/?page_size=100", **headers).json["data"]["models"]
    return next(each for each in found if each["id"] == number)


def ended(server: Server, number: int, **headers: str) -> dict[str, Any]:
    found: dict[str, Any] = wait_for(lambda: (row := model(server, number, **headers))["status"] and row, 300)
    return found


@pytest.fixture(scope="module")
def trained(runt: Trainer) -> int:
    made = send(runt, "/train/", ASKED)
    assert made.status == 201, made.body
    row = ended(runt, made.json["id"])
    assert row["state"] == "completed", (row, runt.folder(row["experiment_id"]).log.read_text())
    return int(made.json["id"])


@pytest.fixture(scope="module")
def waiting(server: Server) -> int:
    """A training of two users that was created, and never started."""
    return untrained(server)


def untrained(server: Server, **headers: str) -> int:
    asked = {
        "name": "mine", "algorithm": "PPO", "environment": "runt/Offloading-v0", "tags": ["runt"], "total_episodes": 12,
        "env_kwargs": {"n_UE": 2},
    }  # fmt: skip
    made = server.post("/experiments", asked, **headers)
    assert made.status == 201, made.body
    found = server.get("/models/?page_size=100", **headers).json["data"]["models"]
    return next(int(each["id"]) for each in found if each["experiment_id"] == made.json["id"])


def is_error(answer: Answer, status: int, said: str) -> None:
    assert answer.status == status, answer.body
    assert answer.json["status"] == "error" and said in answer.json["message"], answer.json
    assert "data" in answer.json


# --- training -----------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_training_from_its_creation_to_its_rewards(runt: Trainer, trained: int) -> None:
    row = model(runt, trained)
    assert {name: row[name] for name in ASKED} == ASKED
    assert (row["current_episode"], row["status"], row["status_text"], row["buffer_size"]) == (12, 1, "训练完成", None)
    assert len(row["create_time"]) == len(row["update_time"]) == len("2026-01-01 00:00:00")
    told = runt.get(f"/models/{trained}/train-data/").json
    data = told["data"]
    assert (told["status"], data["model_id"], data["model_algorithm"]) == ("success", trained, "PPO")
    assert (data["total"], data["page"], data["page_size"], data["total_pages"]) == (12, 1, 20, 1)
    rewards = [each["reward"] for each in data["train_data"]]
    assert [each["episode"] for each in data["train_data"]] == list(range(1, 13))
    assert [each["smoothed_reward"] for each in data["train_data"]] == pytest.approx(smoothed(rewards))
    page = runt.get(f"/models/{trained}/train-data?page=2&page_size=5").json["data"]
    assert page["train_data"] == data["train_data"][5:10] and page["total_pages"] == 3
    last = runt.get(f"/models/{trained}/train-data?page=99&page_size=5").json["data"]
    assert last["page"] == 3 and last["train_data"] == data["train_data"][10:]
    assert runt.get(f"/experiments/{row['experiment_id']}/curve").status == 200


def test_smoothing_is_the_documents() -> None:
    assert smoothed([1.0, 2.0, None, 0.0]) == pytest.approx([1.0, 1.05, 1.05, 0.9975])
    assert smoothed([]) == [] and smoothed([None]) == [None]


def test_lists_are_newest_first_and_paged_for_both_kinds_of_client(server: Server, waiting: int) -> None:
    for path in ("/models", "/models/"):
        both = server.get(path).json
        assert both["status"] == "success" and both["data"]["page_size"] == 10
        assert isinstance(both["models"], list) and "total" in both
    numbers = [each["id"] for each in server.get("/models/?page_size=10000").json["data"]["models"]]
    assert numbers[:10] == [each["id"] for each in both["data"]["models"]]
    assert numbers == sorted(numbers, reverse=True) and waiting in numbers
    one = server.get("/models/?page=1&page_size=1").json["data"]
    assert [each["id"] for each in one["models"]] == numbers[:1] and one["total_pages"] == one["total"] == len(numbers)
    assert set(server.get("/models/?limit=1").json) == {"total", "models"}
    for query in ("page=0", "page=-1", "page_size=0", "page=x", "page_size=10001", "page=%D9%A1"):
        is_error(server.get(f"/models/?{query}"), 400, query.partition("=")[0])
        is_error(server.get(f"/models/{waiting}/train-data/?{query}"), 400, query.partition("=")[0])


@pytest.mark.parametrize("kind", ["json", "form"])
@pytest.mark.long
def test_a_training_is_stopped(runt: Trainer, kind: str) -> None:
    made = send(runt, "/train", {**ASKED, "target_episode": 100_000, "algorithm": "a2c"}, kind).json
    wait_for(lambda: model(runt, made["id"])["current_episode"] > 1, 300)
    row = model(runt, made["id"])
    assert (row["status"], row["status_text"], row["batch_size"]) == (0, "训练中", None)  # which A2C has not
    for _ in range(2):  # the old system took a second one
        stopped = send(runt, "/stop-train/", {"model_id": made["id"]}, kind)
        assert (stopped.status, stopped.json["message"], stopped.json["data"]["state"]) == (
            200,
            "训练已停止",
            "stopped",
        )
    assert model(runt, made["id"])["status_text"] == "训练完成"


@pytest.mark.parametrize("kind", ["json", "form"])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"algorithm": ""}, "algorithm参数不能为空"), ({"target_episode": ""}, "target_episode参数不能为空"),
        ({"target_episode": 0}, "target_episode"), ({"target_episode": "many"}, "target_episode必须为整数"),
        ({"algorithm": "POP"}, "did you mean PPO?"), ({"algorithm": "PPO; touch x"}, "no algorithm"),
        ({"n_UE": "$(touch x)"}, "n_UE必须为整数"), ({"n_UE": 1000}, "n_UE must be an integer from 1 to 100"),
        ({"n_UE": 2.5}, "n_UE必须为整数"), ({"learning_rate": "`touch x`"}, "数值参数格式错误: learning_rate"),
        ({"gamma": "1e999"}, "gamma"), ({"gamma": "\u0661"}, "gamma"), ({"seed": -1}, "seed"),
        ({"task_size_average": "450\nrm"}, "task_size_average"), ({"task_arrival_rate": 2}, "task_arrival_rate"),
        ({"MEC_computation_capacity": "../../x"}, "MEC_computation_capacity"), ({"batch_size": 0}, "batch_size"),
    ],
)  # fmt: skip
@pytest.mark.guarantee(ROW)
def test_what_cannot_be_trained_is_400_with_the_reason(server: Server, kind: str, wrong: Any, said: str) -> None:
    before = server.get("/models/").json["data"]["total"]
    is_error(send(server, "/train/", {**ASKED, **wrong}, kind), 400, said)
    assert server.get("/models/").json["data"]["total"] == before


def test_bodies_of_neither_kind_and_of_odd_json_are_400(server: Server) -> None:
    for path in PATHS:
        for body, kind in ((b"<x/>", "text/xml"), (b"{", "application/json"), (b"[]", "application/json"), (b"", "")):
            is_error(server.post(path, body, Content_Type=kind), 400, "")
        is_error(server.post(path, {}), 400, "参数不能为空")
    assert server.post("/train/", {**ASKED, "n_UE": True}).status == 400
    assert server.post("/train/", {**ASKED, "algorithm": ["PPO"]}).status == 400


def test_a_wrong_method_is_405_in_the_envelope(server: Server) -> None:
    for path in PATHS:
        for form in (path, f"{path}/"):
            is_error(server.get(form), 405, "仅支持POST请求")
    for path in ("/models/1/train-data", "/models/1/train-data/"):
        is_error(server.post(path, {}), 405, "仅支持GET请求")
    is_error(server.request("DELETE", "/models/"), 405, "仅支持GET、POST请求")


@pytest.mark.guarantee(ROW)
def test_what_is_not_there_is_404(server: Server) -> None:
    pole = server.post("/experiments", {"name": "no model of RUNT's", "algorithm": "PPO", "environment": "CartPole-v1"})
    listed = server.get("/models/?page_size=10000").json["data"]["models"]
    assert pole.status == 201 and pole.json["id"] not in [each["experiment_id"] for each in listed]
    for number in (999_999, 0, 2**40, -1):
        is_error(send(server, "/stop-train/", {"model_id": number}), 404, f"模型ID {number} 不存在")
        is_error(send(server, "/testmodel/", {"model_id": number, "observation": [0.0] * 12}, "json"), 404, "不存在")
    is_error(server.get("/models/999999/train-data/"), 404, "模型ID 999999 不存在")
    is_error(send(server, "/stop-train/", {"model_id": "x"}), 400, "model_id必须为整数")


# --- what was learnt ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["json", "form"])
@pytest.mark.long
def test_a_model_acts_for_a_hundred_steps_from_an_observation(runt: Trainer, trained: int, kind: str) -> None:
    observation = [0.5] * 9 + [0.25, 0.75, 1.0]
    asked = {"model_id": str(trained), "observation": observation}  # as RUNT's page sends it
    told = [send(runt, "/testmodel", asked, kind) for _ in range(2)]
    assert told[0].status == 200 and told[0].json == told[1].json, told[0].body
    found = told[0].json
    assert found["status"] == "success" and found["observation"][0] == observation
    assert len(found["observation"]) == len(found["action"]) == len(found["rewards"]) == 100
    assert {len(each) for each in found["action"]} == {3 * 2 + 8} and all(each < 0 for each in found["rewards"])
    beyond = send(runt, "/testmodel", {**asked, "observation": [2, -1, *observation[2:]]}, kind).json
    assert beyond["observation"][0] == [1.0, 0.0, *observation[2:]]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"observation": [0.5] * 11}, "预期大小为12，实际大小为11"), ({"observation": [0.5] * 13}, "实际大小为13"),
        ({"observation": "x"}, "json"), ({"observation": 0.5}, "observation必须是浮点数数组"),
        ({"observation": ["x"] * 12}, "observation数组中的元素"), ({"observation": [None] * 12}, "元素"),
        ({"observation": []}, "observation参数不能为空"), ({"model_id": ""}, "model_id参数不能为空"),
    ],
)  # fmt: skip
@pytest.mark.guarantee(ROW)
def test_what_is_no_observation_is_400(server: Server, waiting: int, wrong: Any, said: str) -> None:
    is_error(server.post("/testmodel/", {"model_id": waiting, "observation": [0.5] * 12, **wrong}), 400, said)


@pytest.mark.long
def test_a_discrete_algorithm_has_its_environment_and_acts_in_the_continuous_ones_terms(runt: Trainer) -> None:
    number = send(runt, "/train/", {"algorithm": "DQN", "target_episode": 3, "n_UE": 1}).json["id"]
    asked = {"model_id": number, "observation": [0.5] * 8}
    early = runt.post("/testmodel/", asked)
    if early.status != 200:
        is_error(early, 409, "neither a model nor a checkpoint")
    row = ended(runt, number)
    assert (row["state"], row["current_episode"], row["buffer_size"]) == ("completed", 3, 300)
    assert runt.show(row["experiment_id"])["environment"] == "runt/OffloadingDiscrete-v0"
    action = runt.post("/testmodel/", asked).json["action"]
    assert len(action) == 100 and {len(each) for each in action} == {11}


@pytest.mark.long
def test_a_training_that_runs_answers_from_its_last_checkpoint(runt: Trainer) -> None:
    asked = {
        "name": "mine", "algorithm": "PPO", "environment": "runt/Offloading-v0", "tags": ["runt"], "n_envs": 2,
        "total_episodes": 10_000, "hyperparameters": {"n_steps": 32}, "checkpoint_every": 64, "env_kwargs": {"n_UE": 1},
    }  # fmt: skip
    name = runt.started(**asked)
    (row,) = [each for each in runt.get("/models/").json["data"]["models"] if each["experiment_id"] == name]
    assert (row["target_episode"], row["n_UE"]) == (10_000, 1)
    wait_for(lambda: runt.folder(name).checkpoint(), 300)
    question = {"model_id": row["id"], "observation": [0.5] * 8}
    told = wait_for(lambda: (found := runt.post("/testmodel/", question)).status != 503 and found, 300)
    assert told.status == 200 and len(told.json["rewards"]) == 100, told.body
    assert send(runt, "/stop-train/", {"model_id": row["id"]}).status == 200


# --- the assistant ------------------------------------------------------------------------------------------------------

QUESTION = {
    "hyperparameters": {
        "algorithm": "SAC", "target_episode": 1000, "learning_rate": 0.02, "batch_size": 32, "buffer_size": 1_000_000,
        "gamma": 0, "tau": 0.005, "learning_starts": "1000", "n_steps": "x",
    },
    "rewards": [-100, -95, -90, -85, -80, -75, -70, -65, -60, -55],
}  # fmt: skip


@pytest.mark.parametrize("kind", ["json", "form"])
def test_the_assistant_answers_in_four_parts_as_it_writes(server: Server, kind: str) -> None:
    told = send(server, "/trainingassistent/", QUESTION, kind)
    assert told.status == 200 and told.headers["Content-Type"].startswith("text/plain")
    text = told.body.decode()
    assert [line[3] for line in text.splitlines() if line.startswith("## ")] == ["1", "2", "3", "4"]
    assert "learning_rate 为 0.02" in text and "gamma" not in text  # 0: not told
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    connection.request("POST", "/trainingassistent", json.dumps(QUESTION), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.getheader("Transfer-Encoding") == "chunked" and answer.read().decode() == text
    connection.close()


def test_the_assistant_sees_what_rewards_show(server: Server) -> None:
    hyperparameters = {**QUESTION["hyperparameters"], "exploration_final_eps": 0.9}  # not SAC's
    asked = {"hyperparameters": hyperparameters, "rewards": [-100.0] * 60}
    text = send(server, "/trainingassistent/", asked, "json").body.decode()
    curves = text.partition("## 2.")[2].partition("## 3.")[0]
    assert "奖励无变化" in curves and "模型架构" in curves and "net_arch" in text
    assert "exploration_final_eps" not in text and not re.search(r"\b(the|is|return)\b", text)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"hyperparameters": "x"}, "hyperparameters must be JSON"), ({"hyperparameters": {}}, "hyperparameters"),
        ({"hyperparameters": [1]}, "hyperparameters必须是有效的JSON对象"), ({"rewards": "x"}, "rewards must be JSON"),
        ({"rewards": []}, "rewards"), ({"rewards": [-1, "x"]}, "rewards数组中的元素必须是有效的数值"),
        ({"rewards": [True]}, "rewards"), ({"rewards": 5}, "rewards必须是浮点数数组"),
    ],
)  # fmt: skip
def test_what_the_assistant_cannot_read_is_400(server: Server, wrong: Any, said: str) -> None:
    is_error(send(server, "/trainingassistent/", {**QUESTION, **wrong}, "json"), 400, said)


def test_the_assistant_survives_numbers_of_every_size(server: Server) -> None:
    odd = {
        "algorithm": 7,
        "n_steps": 1e300,
        "target_episode": 1e18,
        "learning_starts": -1,
        "batch_size": -3,
        "gamma": 2,
    }
    for algorithm in ("PPO", 7):
        asked = {"hyperparameters": {**odd, "algorithm": algorithm}, "rewards": [1e308, -1e308] * 10}
        assert send(server, "/trainingassistent/", asked, "json").status == 200


# --- accounts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["json", "form"])
@pytest.mark.parametrize("path", ["/login", pytest.param("/login/", marks=pytest.mark.long)])
def test_a_login_answers_a_token_that_opens_everything_else(secured: Secured, kind: str, path: str) -> None:
    name = f"{kind}{len(path)}@example.org"
    secured.server.account(name)
    told = send(secured.server, path, {"username": name, "password": PASSWORD}, kind)
    assert (told.status, told.json["status"], told.json["message"]) == (200, "success", "登录成功")
    assert "Set-Cookie" not in told.headers
    bearer = {"Authorization": f"Bearer {told.json['data']['access_token']}"}
    assert secured.server.get("/models/", **bearer).json["data"]["total"] == 0
    for asked in (
        {"username": name, "password": "wrong"},
        {"username": "nobody", "password": PASSWORD},
        {"username": 7},
    ):
        refused = send(secured.server, path, asked, kind)
        assert (refused.status, refused.json["status"], refused.json["message"]) == (200, "error", "用户名或密码错误")
        assert "access_token" not in refused.body.decode()
    odd = send(secured.server, path, {"username": "\ud800", "password": "\ud800"}, "json")
    assert odd.status == 400 and odd.json["status"] == "error"


@pytest.mark.long
def test_guessed_passwords_are_slowed_down(guarded: Trainer) -> None:
    guarded.account("guessed@example.org")
    asked = {"username": "guessed@example.org", "password": "wrong"}
    answers = [send(guarded, "/login/", asked) for _ in range(6)]
    assert [each.status for each in answers] == [200] * 5 + [429]
    is_error(answers[5], 429, "LOGIN_ATTEMPTS")
    assert int(answers[5].headers["Retry-After"]) >= 1
    is_error(send(guarded, "/login/", {**asked, "password": PASSWORD}), 429, "LOGIN_ATTEMPTS")


def test_the_pages_own_login_still_needs_its_ticket(secured: Secured) -> None:
    form = {"email": "x@example.org", "password": PASSWORD}
    assert send(secured.server, "/login", form).status == 400
    assert b"<form" in secured.server.get("/login").body and b"<form" in secured.server.get("/login/").body
    other = send(secured.server, "/login/", {"username": "x", "password": "y"}, Origin="https://elsewhere.example")
    assert other.status == 403
    is_error(secured.server.post("/login", b"{", Content_Type="application/json"), 400, "json")


def test_without_a_token_nothing_is_open(secured: Secured) -> None:
    for path in PATHS:
        is_error(secured.server.post(path, {}), 401, "Authorization")
    for path in ("/models/", "/models/1/train-data/"):
        is_error(secured.server.get(path), 401, "Authorization")


def is_nobodys(server: Server, number: int, **headers: str) -> None:
    """Whoever asks is answered as if there were no such model."""
    question = {"model_id": number, "observation": [0.5] * 12}
    for answer in (
        send(server, "/stop-train/", {"model_id": number}, **headers),
        send(server, "/testmodel/", question, "json", **headers),
        server.get(f"/models/{number}/train-data/", **headers),
    ):
        is_error(answer, 404, f"模型ID {number} 不存在")


@pytest.mark.guarantee(ROW)
def test_others_models_are_as_if_there_were_none(secured: Secured) -> None:
    keys = {name: {"Authorization": f"Bearer {key}"} for name, key in secured.keys.items()}
    number = untrained(secured.server, **keys["participant"])
    assert model(secured.server, number, **keys["participant"])["id"] == number
    assert model(secured.server, number, **keys["admin"])["id"] == number
    listed = secured.server.get("/models/?page_size=100", **keys["other"]).json["data"]["models"]
    assert number not in [each["id"] for each in listed]
    is_nobodys(secured.server, number, **keys["other"])


@pytest.mark.long
def test_others_trainings_run_on_and_an_account_has_its_limit(guarded: Trainer) -> None:
    keys = {name: {"Authorization": f"Bearer {guarded.account(name, role)[1]}"} for name, role in
            (("owner", "participant"), ("stranger", "participant"), ("root", "admin"))}  # fmt: skip
    made = send(guarded, "/train/", {**ASKED, "target_episode": 100_000}, **keys["owner"])
    number = made.json["id"]
    assert model(guarded, number, **keys["owner"])["id"] == model(guarded, number, **keys["root"])["id"] == number
    assert guarded.get("/models/", **keys["stranger"]).json["data"] | {"models": []} == {
        "total": 0, "page": 1, "page_size": 10, "total_pages": 1, "models": [],
    }  # fmt: skip
    is_nobodys(guarded, number, **keys["stranger"])
    refused = send(guarded, "/train/", ASKED, **keys["owner"])
    is_error(refused, 429, "ACCOUNT_EXPERIMENTS = 1")  # and nothing is left of it
    assert guarded.get("/models/", **keys["owner"]).json["data"]["total"] == 1
    assert send(guarded, "/stop-train/", {"model_id": number}, **keys["root"]).json["data"]["state"] == "stopped"
