"""Experiments over HTTP, as the RL Agent Training API's document prints its requests, with later additions."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import Trainer

DOCUMENT = {
    "name": "test_ppo_lunarlander",
    "algorithm": "PPO",
    "environment": "LunarLander-v2",
    "hyperparameters": {"learning_rate": 0.0003, "n_steps": 2048, "batch_size": 64},
    "seed": 42,
    "description": "Тестирование PPO на LunarLander",
    "hypothesis": "PPO должен показать хорошие результаты на LunarLander",
}


def test_the_documents_requests_as_printed(trainer: Trainer) -> None:
    made = trainer.post("/experiments", DOCUMENT)
    row = made.json
    assert made.status == 201 and DOCUMENT.items() <= row.items()
    assert (row["status"], row["started_at"], row["completed_at"]) == ("created", None, None)
    assert row["trained_on"] == "LunarLander-v3"  # the requested version no longer exists
    path = f"/experiments/{row['id']}"
    assert trainer.get(path).json == row
    started = trainer.post(f"{path}/train")
    assert (started.status, started.json["experiment_id"], started.json["status"]) == (200, row["id"], "running")
    trainer.until_steps(row["id"], 2100)
    listed = trainer.get("/experiments?status=running&algorithm=PPO").json
    assert [each["id"] for each in listed] == [row["id"]]
    assert trainer.get("/health").json["active_experiments"] == 1
    metrics = trainer.get(f"{path}/metrics?from_timestep=1000&to_timestep=5000").json
    assert metrics["experiment_id"] == row["id"] and len(metrics["metrics"]) > 3
    assert all(1000 <= each["timestep"] <= 5000 for each in metrics["metrics"])
    assert any("reward" in each for each in metrics["metrics"])
    summary = metrics["summary"]
    assert summary["total_episodes"] > 5 and summary["total_timesteps"] >= 2100
    assert summary["best_reward"] >= summary["avg_reward_last_100"]
    paused = trainer.request("PUT", path, {"status": "paused", "hyperparameters": {"learning_rate": 0.0001}})
    assert (paused.status, paused.json["status"]) == (200, "paused")
    assert paused.json["hyperparameters"]["learning_rate"] == 0.0001
    results = trainer.get(f"{path}/results").json
    assert results.items() >= {
        "experiment_id": row["id"], "final_evaluation": {}, "model_path": None, "video_path": None,
        "video": {"state": "none", "reason": "the server makes no videos: MEDIA is off", "agrees": None},
    }.items()  # fmt: skip
    going = trainer.request("PUT", path, {"status": "running"})
    assert going.status == 200 and going.json["status"] in ("queued", "running")
    assert trainer.request("PUT", path, {"status": "cancelled"}).json["status"] == "stopped"
    assert trainer.request("DELETE", path).status == 204 and trainer.get(path).status == 404
    assert not trainer.folder(row["id"]).path.exists()


CLIENT = """
import requests

# Создание эксперимента
response = requests.post("http://localhost:8000/experiments", json={
    "name": "my_experiment",
    "algorithm": "PPO",
    "environment": "LunarLander-v2",
    "hyperparameters": {"learning_rate": 0.0003},
    "seed": 42
})

experiment = response.json()
experiment_id = experiment["id"]

# Запуск обучения
requests.post(f"http://localhost:8000/experiments/{experiment_id}/train")

# Получение метрик
metrics = requests.get(f"http://localhost:8000/experiments/{experiment_id}/metrics")
print(metrics.json())
"""
CURL = """curl -X POST "http://localhost:8000/experiments" \\
  -H "Content-Type: application/json" \\
  -d '{
    "name": "curl_test",
    "algorithm": "PPO",
    "environment": "LunarLander-v2",
    "seed": 42
  }'"""


@pytest.mark.long
@pytest.mark.needs("curl")
def test_the_documents_python_client_and_curl_lines(trainer: Trainer) -> None:
    def printed(*command: str) -> str:
        command = tuple(part.replace("http://localhost:8000", trainer.url) for part in command)
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout

    assert "'total_timesteps': " in printed(sys.executable, "-c", CLIENT)
    assert json.loads(printed("sh", "-c", CURL))["status"] == "created"
    for path in ("experiments", "health", "environments", "algorithms"):
        assert json.loads(printed("curl", f"http://localhost:8000/{path}"))
    (running,) = trainer.get("/experiments?search=my_experiment").json
    assert trainer.post(f"/experiments/{running['id']}/stop").json["status"] == "stopped"


@pytest.mark.long
def test_the_documents_logs(train: Callable[..., Trainer], tmp_path: Path) -> None:
    server = train(LOG_DIR=str(tmp_path / "logs" / "api"))
    name = server.started(total_timesteps=64, hyperparameters={"n_steps": 64})
    server.until(name, "completed")
    files = tmp_path / "logs" / "api"
    training = "".join(file.read_text() for file in files.glob("training_*.log"))
    lines = [json.loads(line) for line in training.splitlines()]
    assert [each["message"] for each in lines] == [f"experiment {name} starts", f"experiment {name} is completed: "]
    assert not list(files.glob("errors_*.log"))  # there were no errors


def test_the_documents_other_requests(trainer: Trainer) -> None:
    environments = {each["name"]: each for each in trainer.get("/environments").json}
    pole = environments["CartPole-v1"]
    assert (pole["observation_space"]["shape"], pole["action_space"]["n"]) == ([4], 2)
    assert "DQN" in pole["algorithms"] and "SAC" not in pole["algorithms"] and "solved" in pole["description"]
    algorithms = {each["name"]: each for each in trainer.get("/algorithms").json}
    assert len(algorithms) == 13 and algorithms["PPO"]["default_hyperparameters"]["n_steps"] == 2048
    assert algorithms["PPO"]["tuned"]["CartPole-v1"]["n_envs"] == 8
    health = trainer.get("/health")
    assert {"status", "timestamp", "version", "uptime_seconds", "active_experiments"} <= set(health.json)
    assert float(health.headers["X-Process-Time"]) > 0
    config = trainer.get("/config")
    assert set(config.json) == {"server", "application", "directories", "rl_system", "validation"}
    assert config.json["rl_system"]["max_concurrent_experiments"] == 3
    assert str(trainer.data) not in config.body.decode()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"algorithm": "POP"}, "did you mean PPO?"),
        ({"environment": "CartPool-v1"}, "CartPole-v1"),
        ({"algorithm": "DQN", "environment": "Pendulum-v1"}, "use one of A2C, ARS, CrossQ, DDPG"),
        ({"algorithm": "SAC"}, "SAC needs an action space of the kind Box, and this environment's is Discrete"),
        ({"hyperparameters": {"learning_rat": 1}}, "did you mean learning_rate?"),
        ({"hyperparameters": {"learning_rate": "__import__('os')"}}, "learning_rate must be a number"),
        ({"hyperparameters": {"policy_kwargs": {"features_extractor_class": "x"}}}, "is not among activation_fn"),
        (
            {"hyperparameters": {"policy_kwargs": {"optimizer_class": "os.system"}}},
            "one of adam, adamw, adagrad, rmsprop, sgd",
        ),
        ({"hyperparameters": {"n_steps": True}}, "n_steps must be an integer"),
        ({"hyperparameters": {"batch_size": 0}}, "batch_size must be an integer from 1"),
        ({"runner": "pymarl"}, "RUNNERS"),
        ({"server": "elsewhere"}, "TRAINING_SERVERS"),
        ({"environment": "os:system"}, "malformed"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_the_reason(trainer: Trainer, settings: Any, message: str) -> None:
    refused = trainer.post("/experiments", {"name": "x", "algorithm": "PPO", "environment": "CartPole-v1", **settings})
    assert refused.status == 422 and message in refused.json["message"]
    assert set(refused.json) == {"error", "message", "details", "timestamp"}


@pytest.mark.parametrize(
    "settings",
    [
        {"seed": -1}, {"seed": 2**32}, {"seed": True}, {"name": ""}, {"name": "x" * 201}, {"hypothesis": "x" * 501},
        {"total_timesteps": 0}, {"n_envs": 65}, {"tags": ["a b"]}, {"tags": "a"}, {"evaluation": {"often": 1}},
        {"vectorisation": "fast"}, {"normalize": {"eval": 1}}, {"timeout_minutes": 61}, {"tensorboard": "yes"},
        {"hyperparameters": []}, {"server": []}, {"environment": 5}, {"normalize": {"clip_obs": -1}},
    ],
)  # fmt: skip
def test_invalid_values_are_refused(trainer: Trainer, settings: Any) -> None:
    refused = trainer.post("/experiments", {"name": "x", "algorithm": "PPO", "environment": "CartPole-v1", **settings})
    assert refused.status == 400 and next(iter(settings)) in refused.json["message"]


def test_invalid_transitions_are_refused(trainer: Trainer) -> None:
    name = trainer.experiment()
    for verb, status in (("pause", 400), ("resume", 400), ("retry", 400)):
        refused = trainer.post(f"/experiments/{name}/{verb}")
        assert refused.status == status and "created" in refused.json["message"]
    assert trainer.post(f"/experiments/{name}/stop").json["status"] == "stopped"
    assert trainer.post(f"/experiments/{name}/train").status == 400
    assert trainer.request("PUT", f"/experiments/{name}", {"status": "paused"}).status == 400
    assert trainer.request("PUT", f"/experiments/{name}", {"status": "asleep"}).status == 400
    assert trainer.get(f"/experiments/{name}/log").status == 404


def test_the_results_of_a_completed_run(trainer: Trainer, experiment: str) -> None:
    row = trainer.show(experiment)
    assert row["exit_code"] == 0 and row["timesteps"] >= 2000 and row["completed_at"] > row["started_at"]
    results = trainer.get(f"/experiments/{experiment}/results").json
    assert results["final_evaluation"]["episodes"] == 1 and results["final_evaluation"]["mean_reward"] >= 1
    assert (trainer.data / results["model_path"]).is_file()
    metrics = trainer.get(f"/experiments/{experiment}/metrics").json["metrics"]
    assert {"reward", "episode_length", "train/loss"} <= {key for each in metrics for key in each}


@pytest.mark.long
def test_a_copied_run_has_the_same_curve(trainer: Trainer) -> None:
    name = trainer.started(
        tensorboard=True, evaluation={"every": 500, "episodes": 2}, n_envs=2, vectorisation="async", normalize=True,
        hyperparameters={"n_steps": 128},
    )  # fmt: skip
    row = trainer.until(name, "completed")
    assert row["exit_code"] == 0 and row["timesteps"] >= 2000 and row["completed_at"] > row["started_at"]
    assert row["resources"]["peak_memory_bytes"] > 10**7
    results = trainer.get(f"/experiments/{name}/results").json
    assert results["final_evaluation"]["episodes"] == 2 and results["final_evaluation"]["mean_reward"] >= 1
    assert (trainer.data / results["model_path"]).is_file()
    assert list(trainer.folder(name).tensorboard.glob("events.out*"))
    metrics = trainer.get(f"/experiments/{name}/metrics").json["metrics"]
    assert {"reward", "episode_length", "evaluation/mean_reward", "train/loss"} <= {
        key for each in metrics for key in each
    }
    again = trainer.post(f"/experiments/{name}/retry")
    assert again.status == 200
    trainer.until(name, "completed")
    same = trainer.get(f"/experiments/{name}/metrics").json["metrics"]
    speedless = [[{k: v for k, v in each.items() if k != "time/fps"} for each in one] for one in (metrics, same)]
    assert speedless[0] == speedless[1]  # the same seed gives the same curve, without repetitions


def test_copies_tags_filters_and_pages(trainer: Trainer) -> None:
    first = trainer.experiment(name="first", tags=["blue", "sky"], algorithm="A2C")
    copied = trainer.post(f"/experiments/{first}/copy", {"name": "second", "seed": 7}).json
    original = trainer.show(first)
    for same in ("algorithm", "environment", "hyperparameters", "parameters", "tags", "total_timesteps"):
        assert copied[same] == original[same]
    assert (copied["name"], copied["seed"], copied["copy_of"], copied["status"]) == ("second", 7, first, "created")
    changed = trainer.request("PUT", f"/experiments/{first}", {"tags": ["green"], "name": "third"}).json
    assert (changed["tags"], changed["name"]) == (["green"], "third")

    def ids(query: str) -> list[str]:
        return [each["id"] for each in trainer.get(f"/experiments?{query}").json]

    assert ids("tag=blue") == [copied["id"]] and ids("tag=blu") == [] and ids("tag=%25") == []
    assert ids("algorithm=a2c&status=created") == [copied["id"], first]
    page = trainer.get("/experiments?algorithm=A2C&limit=1&skip=1")
    assert [each["id"] for each in page.json] == [first] and page.headers["X-Total-Count"] == "2"
    assert ids("search=thir") == [first] and ids("environment=Nothing") == []
    assert trainer.get("/experiments?status=asleep").status == 400
    assert trainer.get("/experiments?limit=0").status == 400


def test_a_curve_is_downsampled(trainer: Trainer, experiment: str) -> None:
    curves = trainer.get(f"/experiments/metrics?ids={experiment}&names=reward&points=10").json["experiments"]
    assert [each["experiment_id"] for each in curves] == [experiment]
    points = curves[0]["metrics"]
    assert 5 < len(points) <= 10 and all(set(point) == {"timestep", "reward"} for point in points)
    assert trainer.get("/experiments/metrics").status == 400
    assert trainer.get("/experiments/metrics?ids=nothing").status == 404
    assert trainer.get(f"/experiments/{experiment}/metrics?points=0").status == 400


@pytest.mark.long
def test_curves_of_several_experiments_are_downsampled(trainer: Trainer, experiment: str, other_seed: str) -> None:
    names = [experiment, other_seed]
    curves = trainer.get(f"/experiments/metrics?ids={','.join(names)}&names=reward&points=10").json["experiments"]
    assert [each["experiment_id"] for each in curves] == names
    for each in curves:
        assert 5 < len(each["metrics"]) <= 10 and all(set(point) == {"timestep", "reward"} for point in each["metrics"])


def test_live_metrics_equal_the_stored_ones(trainer: Trainer) -> None:
    name = trainer.started(total_timesteps=600, hyperparameters={"n_steps": 128})
    events: list[tuple[str, Any]] = []
    with urllib.request.urlopen(f"{trainer.url}/experiments/{name}/metrics/stream", timeout=300) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        kind, last = "", ""
        for line in stream:
            field, _, value = line.decode().rstrip("\n").partition(": ")
            last = value if field == "id" else last
            kind = value if field == "event" else kind
            if field == "data":
                events.append((kind, json.loads(value)))
    assert events[-1][0] == "end" and events[-1][1]["status"] == "completed"
    assert ["queued", "running", "completed"][-1] == [body["status"] for kind, body in events if kind == "state"][-1]
    live = [body for kind, body in events if kind == "metric"]
    kept = trainer.get(f"/experiments/{name}/metrics").json["metrics"]
    assert len(live) == sum(len(each) - 1 for each in kept)
    request = urllib.request.Request(
        f"{trainer.url}/experiments/{name}/metrics/stream", headers={"Last-Event-ID": last}
    )
    with urllib.request.urlopen(request, timeout=300) as stream:
        assert b"event: metric" not in stream.read()
