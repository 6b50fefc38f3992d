"""RUNT's trainings, models and assistant, as its document and its own client use them, with valid and invalid requests."""

import http.client
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from gymserve.web.dialects.runt.api import moving_average
from tests.support.experiments import untrained
from tests.support.servers import Server, wait_for
from tests.training.conftest import Trainer
from tests.web.dialects.runt_client import PATHS, TRAINING, ended, is_error, model, never_started, send

ROW = "RUNT's requests hold a shell's words, odd numbers, others' ids"


@pytest.fixture(scope="module")
def runt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainer]:
    started = Trainer(tmp_path_factory.mktemp("runt"))
    yield started
    started.stop()
    started.end_experiments()


@pytest.fixture(scope="module")
def trained(runt: Trainer) -> int:
    answer = send(runt, "/train/", TRAINING)
    assert answer.status == 201, answer.body
    row = ended(runt, answer.json["id"])
    assert row["state"] == "completed", (row, runt.folder(row["experiment_id"]).log.read_text())
    return int(answer.json["id"])


@pytest.fixture(scope="module")
def waiting(server: Server) -> int:
    """A training with two users that was created but never started."""
    return never_started(server)


# --- training -----------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_training_is_created_and_its_rewards_are_listed(runt: Trainer, trained: int) -> None:
    row = model(runt, trained)
    assert {name: row[name] for name in TRAINING} == TRAINING
    assert (row["current_episode"], row["status"], row["status_text"], row["buffer_size"]) == (12, 1, "训练完成", None)
    assert len(row["create_time"]) == len(row["update_time"]) == len("2026-01-01 00:00:00")
    answer = runt.get(f"/models/{trained}/train-data/").json
    data = answer["data"]
    assert (answer["status"], data["model_id"], data["model_algorithm"]) == ("success", trained, "PPO")
    assert (data["total"], data["page"], data["page_size"], data["total_pages"]) == (12, 1, 20, 1)
    rewards = [each["reward"] for each in data["train_data"]]
    assert [each["episode"] for each in data["train_data"]] == list(range(1, 13))
    assert [each["smoothed_reward"] for each in data["train_data"]] == pytest.approx(moving_average(rewards))
    page = runt.get(f"/models/{trained}/train-data?page=2&page_size=5").json["data"]
    assert page["train_data"] == data["train_data"][5:10] and page["total_pages"] == 3
    last = runt.get(f"/models/{trained}/train-data?page=99&page_size=5").json["data"]
    assert last["page"] == 3 and last["train_data"] == data["train_data"][10:]
    assert runt.get(f"/experiments/{row['experiment_id']}/curve").status == 200


def test_rewards_are_smoothed_as_documented() -> None:
    assert moving_average([1.0, 2.0, None, 0.0]) == pytest.approx([1.0, 1.05, 1.05, 0.9975])
    assert moving_average([]) == [] and moving_average([None]) == [None]


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
    training = send(runt, "/train", {**TRAINING, "target_episode": 100_000, "algorithm": "a2c"}, kind).json
    wait_for(lambda: model(runt, training["id"])["current_episode"] > 1, 300)
    row = model(runt, training["id"])
    assert (row["status"], row["status_text"], row["batch_size"]) == (0, "训练中", None)  # A2C has no batch_size
    for _ in range(2):  # the old system accepted a second request
        stopped = send(runt, "/stop-train/", {"model_id": training["id"]}, kind)
        assert (stopped.status, stopped.json["message"], stopped.json["data"]["state"]) == (
            200,
            "训练已停止",
            "stopped",
        )
    assert model(runt, training["id"])["status_text"] == "训练完成"


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
def test_invalid_parameters_of_trainings_are_400(server: Server, kind: str, wrong: Any, said: str) -> None:
    before = server.get("/models/").json["data"]["total"]
    is_error(send(server, "/train/", {**TRAINING, **wrong}, kind), 400, said)
    assert server.get("/models/").json["data"]["total"] == before


def test_other_bodies_and_odd_json_are_400(server: Server) -> None:
    for path in PATHS:
        for body, kind in ((b"<x/>", "text/xml"), (b"{", "application/json"), (b"[]", "application/json"), (b"", "")):
            is_error(server.post(path, body, Content_Type=kind), 400, "")
        is_error(server.post(path, {}), 400, "参数不能为空")
    assert server.post("/train/", {**TRAINING, "n_UE": True}).status == 400
    assert server.post("/train/", {**TRAINING, "algorithm": ["PPO"]}).status == 400


def test_a_wrong_method_is_405_in_the_envelope(server: Server) -> None:
    for path in PATHS:
        for form in (path, f"{path}/"):
            is_error(server.get(form), 405, "仅支持POST请求")
    for path in ("/models/1/train-data", "/models/1/train-data/"):
        is_error(server.post(path, {}), 405, "仅支持GET请求")
    is_error(server.request("DELETE", "/models/"), 405, "仅支持GET、POST请求")


@pytest.mark.guarantee(ROW)
def test_unknown_models_are_404(server: Server) -> None:
    pole = untrained(server)  # no model of RUNT's
    listed = server.get("/models/?page_size=10000").json["data"]["models"]
    assert pole not in [each["experiment_id"] for each in listed]
    for number in (999_999, 0, 2**40, -1):
        is_error(send(server, "/stop-train/", {"model_id": number}), 404, f"模型ID {number} 不存在")
        is_error(send(server, "/testmodel/", {"model_id": number, "observation": [0.0] * 12}, "json"), 404, "不存在")
    is_error(server.get("/models/999999/train-data/"), 404, "模型ID 999999 不存在")
    is_error(send(server, "/stop-train/", {"model_id": "x"}), 400, "model_id必须为整数")


# --- models -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["json", "form"])
@pytest.mark.long
def test_a_model_runs_for_a_hundred_steps_from_an_observation(runt: Trainer, trained: int, kind: str) -> None:
    observation = [0.5] * 9 + [0.25, 0.75, 1.0]
    payload = {"model_id": str(trained), "observation": observation}  # RUNT's page sends the id as a string
    answers = [send(runt, "/testmodel", payload, kind) for _ in range(2)]
    assert answers[0].status == 200 and answers[0].json == answers[1].json, answers[0].body
    rollout = answers[0].json
    assert rollout["status"] == "success" and rollout["observation"][0] == observation
    assert len(rollout["observation"]) == len(rollout["action"]) == len(rollout["rewards"]) == 100
    assert {len(each) for each in rollout["action"]} == {3 * 2 + 8} and all(each < 0 for each in rollout["rewards"])
    beyond = send(runt, "/testmodel", {**payload, "observation": [2, -1, *observation[2:]]}, kind).json
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
def test_invalid_observations_are_400(server: Server, waiting: int, wrong: Any, said: str) -> None:
    is_error(server.post("/testmodel/", {"model_id": waiting, "observation": [0.5] * 12, **wrong}), 400, said)


@pytest.mark.long
def test_a_discrete_algorithm_returns_continuous_actions(runt: Trainer) -> None:
    number = send(runt, "/train/", {"algorithm": "DQN", "target_episode": 3, "n_UE": 1}).json["id"]
    payload = {"model_id": number, "observation": [0.5] * 8}
    early = runt.post("/testmodel/", payload)
    if early.status != 200:
        is_error(early, 409, "neither a model nor a checkpoint")
    row = ended(runt, number)
    assert (row["state"], row["current_episode"], row["buffer_size"]) == ("completed", 3, 300)
    assert runt.show(row["experiment_id"])["environment"] == "runt/OffloadingDiscrete-v0"
    action = runt.post("/testmodel/", payload).json["action"]
    assert len(action) == 100 and {len(each) for each in action} == {11}


@pytest.mark.long
def test_a_running_training_uses_its_last_checkpoint(runt: Trainer) -> None:
    payload = {
        "name": "mine", "algorithm": "PPO", "environment": "runt/Offloading-v0", "tags": ["runt"], "n_envs": 2,
        "total_episodes": 10_000, "hyperparameters": {"n_steps": 32}, "checkpoint_every": 64, "env_kwargs": {"n_UE": 1},
    }  # fmt: skip
    name = runt.started(**payload)
    (row,) = [each for each in runt.get("/models/").json["data"]["models"] if each["experiment_id"] == name]
    assert (row["target_episode"], row["n_UE"]) == (10_000, 1)
    wait_for(lambda: runt.folder(name).checkpoint(), 300)
    question = {"model_id": row["id"], "observation": [0.5] * 8}
    answer = wait_for(lambda: (reply := runt.post("/testmodel/", question)).status != 503 and reply, 300)
    assert answer.status == 200 and len(answer.json["rewards"]) == 100, answer.body
    assert send(runt, "/stop-train/", {"model_id": row["id"]}).status == 200


# --- the assistant ------------------------------------------------------------------------------------------------------

QUESTION: dict[str, Any] = {
    "hyperparameters": {
        "algorithm": "SAC", "target_episode": 1000, "learning_rate": 0.02, "batch_size": 32, "buffer_size": 1_000_000,
        "gamma": 0, "tau": 0.005, "learning_starts": "1000", "n_steps": "x",
    },
    "rewards": [-100, -95, -90, -85, -80, -75, -70, -65, -60, -55],
}  # fmt: skip


@pytest.mark.parametrize("kind", ["json", "form"])
def test_the_assistant_streams_four_parts(server: Server, kind: str) -> None:
    response = send(server, "/trainingassistent/", QUESTION, kind)
    assert response.status == 200 and response.headers["Content-Type"].startswith("text/plain")
    text = response.body.decode()
    assert [line[3] for line in text.splitlines() if line.startswith("## ")] == ["1", "2", "3", "4"]
    assert "learning_rate 为 0.02" in text and "gamma" not in text  # 0 means not set
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    connection.request("POST", "/trainingassistent", json.dumps(QUESTION), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.getheader("Transfer-Encoding") == "chunked" and answer.read().decode() == text
    connection.close()


def test_the_assistant_finds_problems_in_rewards(server: Server) -> None:
    hyperparameters = {**QUESTION["hyperparameters"], "exploration_final_eps": 0.9}  # not SAC's
    payload = {"hyperparameters": hyperparameters, "rewards": [-100.0] * 60}
    text = send(server, "/trainingassistent/", payload, "json").body.decode()
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
def test_invalid_questions_to_the_assistant_are_400(server: Server, wrong: Any, said: str) -> None:
    is_error(send(server, "/trainingassistent/", {**QUESTION, **wrong}, "json"), 400, said)


def test_the_assistant_accepts_numbers_of_every_size(server: Server) -> None:
    odd = {
        "algorithm": 7,
        "n_steps": 1e300,
        "target_episode": 1e18,
        "learning_starts": -1,
        "batch_size": -3,
        "gamma": 2,
    }
    for algorithm in ("PPO", 7):
        payload = {"hyperparameters": {**odd, "algorithm": algorithm}, "rewards": [1e308, -1e308] * 10}
        assert send(server, "/trainingassistent/", payload, "json").status == 200
