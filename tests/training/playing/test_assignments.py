"""Models in challenges: the server plays an ordinary submission, whichever process is killed meanwhile."""

import io
import os
import signal
from typing import Any

import pytest
from stable_baselines3 import PPO

from tests.conftest import Secured
from tests.support.servers import Answer, children, wait_for
from tests.training.conftest import Trainer

UPLOAD = "/models/upload?title=mine&algorithm=PPO&environment=CartPole-v1"


def challenge(name: str, **more: Any) -> dict[str, Any]:
    """Create a challenge with trials that any policy ends soon."""
    return {"name": name, "environment": "CartPole-v1", "max_episode_steps": 30, "trials": {"number": 2}, **more}


def define(trainer: Trainer, **definition: Any) -> None:
    answer = trainer.post("/challenges/", {"definition": challenge(**definition)})
    assert answer.status == 200, answer.body


def graded(trainer: Trainer, submission: str) -> dict[str, Any]:
    """Wait until a submission is over and verified, and return it."""

    def over() -> dict[str, Any] | None:
        row: dict[str, Any] = trainer.get(f"/submissions/{submission}/").json
        return None if row["state"] in ("created", "running", "verifying") else row

    graded: dict[str, Any] = wait_for(over, 300)
    return graded


def player(trainer: Trainer) -> int | None:
    """The process id of the player."""
    for worker in trainer.workers():
        for pid in children(worker):
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if b"gymserve.training.playing.player" in file.read():
                    return pid
    return None


@pytest.mark.long
def test_a_model_is_trained_played_graded_and_verified_here(trainer: Trainer, model: str) -> None:
    define(trainer, name="cart")
    request = {"challenge": "cart", "entrant": "robot"}
    answer = trainer.post(f"/models/{model}/submit", request, Idempotency_Key="once")
    assert answer.status == 202, answer.body
    again = trainer.post(f"/models/{model}/submit", request, Idempotency_Key="once")
    assert again.status == 202 and again.json["submission_id"] == answer.json["submission_id"]
    row = graded(trainer, answer.json["submission_id"])
    assert (row["state"], row["verdict"], row["entrant"]) == ("graded", "verified", "robot"), row
    assert [trial["state"] for trial in row["trials"]] == ["played"] * 2 and 0 < row["score"] <= 30
    assert trainer.get("/challenges/cart/leaderboard").json["places"][0]["entrant"] == "robot"
    wait_for(lambda: not os.listdir(trainer.data / "playing"))


@pytest.mark.guarantee("the process that plays a submission with a model is killed")
def test_a_killed_player_is_replaced_by_one_that_continues(trainer: Trainer, model: str) -> None:
    define(trainer, name="long", trials={"number": 40})
    answer = trainer.post(f"/models/{model}/submit", {"challenge": "long"}).json
    path = f"/submissions/{answer['submission_id']}/"
    wait_for(lambda: (trainer.get(path).json["progress"] or {}).get("steps", 0) > 20, 300)
    os.kill(wait_for(lambda: player(trainer)), signal.SIGKILL)
    row = graded(trainer, answer["submission_id"])
    assert (row["state"], row["verdict"]) == ("graded", "verified"), row
    assert [trial["state"] for trial in row["trials"]] == ["played"] * 40


@pytest.mark.parametrize(
    "name, environment, reason",
    [
        ("lake", "FrozenLake-v1", "the model's observation space is Box (shape [4]"),
        ("bars", "Acrobot-v1", "that of Acrobot-v1 is Box (shape [6]"),
    ],
)
def test_other_spaces_are_refused_and_no_submission_is_charged(
    trainer: Trainer, model: str, name: str, environment: str, reason: str
) -> None:
    define(trainer, name=name, environment=environment)
    refused = trainer.post(f"/models/{model}/submit", {"challenge": name})
    assert refused.status == 422 and reason in refused.json["message"], refused.body
    assert trainer.get(f"/challenges/{name}/submissions/").json == []


def test_an_unknown_challenge_is_not_found(trainer: Trainer, model: str) -> None:
    assert trainer.post(f"/models/{model}/submit", {"challenge": "nothing"}).status == 404
    assert trainer.post(f"/models/{model}/submit", {}).status == 400


@pytest.mark.long
def test_with_accounts_the_submission_is_the_callers(secured: Secured) -> None:
    assert secured.ask("organiser", "POST", "/challenges/", {"definition": challenge("robots")}).status == 200
    file = io.BytesIO()
    PPO("MlpPolicy", "CartPole-v1", device="cpu").save(file)
    made = secured.ask("participant", "POST", UPLOAD, file.getvalue(), Content_Type="application/zip")
    assert made.status == 201, made.body
    path, request = f"/models/{made.json['id']}/submit", {"challenge": "robots"}
    assert secured.ask("other", "POST", path, request).status == 404
    answer = secured.ask("participant", "POST", path, request)
    assert answer.status == 202, answer.body

    def over() -> Answer | None:
        row = secured.ask("participant", "GET", f"/submissions/{answer.json['submission_id']}/")
        return row if row.json["state"] == "graded" else None

    row = wait_for(over, 300).json
    assert row["entrant"] == f"account {secured.ids['participant']}" and row["verdict"] == "verified"
