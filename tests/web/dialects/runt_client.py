"""RUNT's client for tests: its form's values, and its requests in both kinds of bodies."""

import json
import urllib.parse
from typing import Any

from tests.support.experiments import untrained
from tests.support.servers import Answer, Server, wait_for

FORM = "application/x-www-form-urlencoded"
# The values of RUNT's form, for a short training.
TRAINING = {
    "algorithm": "PPO", "target_episode": 12, "task_size_average": 450, "task_comsumption_average": 4500,
    "task_time_average": 5, "task_arrival_rate": 0.3, "n_UE": 2, "UE_computation_capacity": 1000,
    "MEC_computation_capacity": 5000, "seed": 777, "learning_rate": 0.003, "batch_size": 64, "gamma": 0.99,
}  # fmt: skip
PATHS = ("/train", "/stop-train", "/testmodel", "/trainingassistent")


def send(server: Server, path: str, payload: Any, kind: str = "form", **headers: str) -> Answer:
    if kind == "json":
        return server.post(path, payload, **headers)
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in payload.items()}
    return server.post(path, urllib.parse.urlencode(texts).encode(), Content_Type=FORM, **headers)


def model(server: Server, number: int, **headers: str) -> dict[str, Any]:
    rows = server.get("/models/?page_size=100", **headers).json["data"]["models"]
    return next(each for each in rows if each["id"] == number)


def ended(server: Server, number: int, **headers: str) -> dict[str, Any]:
    row: dict[str, Any] = wait_for(lambda: (row := model(server, number, **headers))["status"] and row, 300)
    return row


def never_started(server: Server, account_id: int | None = None, **headers: str) -> int:
    """Create a training with two users, and return its number as RUNT lists it."""
    recipe = {"environment": "runt/Offloading-v0", "tags": ["runt"], "total_episodes": 12, "env_kwargs": {"n_UE": 2}}
    name = untrained(server, account_id, **recipe)
    rows = server.get("/models/?page_size=100", **headers).json["data"]["models"]
    return next(int(each["id"]) for each in rows if each["experiment_id"] == name)


def is_error(answer: Answer, status: int, message: str) -> None:
    assert answer.status == status, answer.body
    assert answer.json["status"] == "error" and message in answer.json["message"], answer.json
    assert "data" in answer.json
