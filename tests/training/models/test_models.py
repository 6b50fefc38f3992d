"""Models: kept from experiments, queried singly and in batches, run in their environments."""

import concurrent.futures
import io
import os
import signal
import zipfile
from typing import Any

import gymnasium
import numpy as np
import onnxruntime
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.save_util import load_from_pkl

from tests.conftest import Secured
from tests.support.servers import children, wait_for
from tests.training.conftest import POLE, Trainer


def actions(trainer: Trainer, model: str, observations: Any) -> Any:
    """Predict with the model's file, loaded here, after normalising the observations (n, 4)."""
    folder = trainer.data / "models" / model
    shown = load_from_pkl(folder / "normalize.pkl").normalize_obs(observations)
    return PPO.load(folder / "model.zip", device="cpu").predict(shown, deterministic=True)[0].tolist()


def ask(trainer: Trainer, model: str, **query: Any) -> Any:
    answer = trainer.post(f"/models/{model}/predict", query)
    assert answer.status == 200, answer.body
    return answer.json


def processes(trainer: Trainer) -> list[int]:
    """The process ids of the model servers."""
    pids = []
    for worker in trainer.workers():
        for pid in children(worker):
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if b"gymserve.training.inference.server" in file.read():
                    pids.append(pid)
    return pids


def test_a_card_says_where_a_model_comes_from(trainer: Trainer, experiment: str, model: str) -> None:
    card = trainer.get(f"/models/{model}/").json
    assert (card["title"], card["experiment_id"], card["algorithm"]) == (POLE, experiment, "PPO")
    assert card["environment"] == "CartPole-v1" and card["timesteps"] == 2048 and not card["is_promoted"]
    assert card["evaluation"] == trainer.get(f"/experiments/{experiment}/results").json["final_evaluation"]
    listed = trainer.get("/models/?limit=100").json
    assert listed["total"] >= 1 and model in [row["id"] for row in listed["models"]]


def test_predictions_equal_those_of_the_file(trainer: Trainer, model: str) -> None:
    with zipfile.ZipFile(io.BytesIO(trainer.get(f"/models/{model}/file").body)) as archive:
        assert "policy.pth" in archive.namelist()
    observations = np.random.default_rng(1).uniform(-0.2, 0.2, (200, 4)).astype(np.float32)
    wanted = actions(trainer, model, observations)
    assert ask(trainer, model, observations=observations.tolist())["actions"] == wanted
    assert ask(trainer, model, observation=observations[0].tolist())["action"] == wanted[0]


def test_many_agents_query_at_once_and_each_gets_its_own_answer(trainer: Trainer, model: str) -> None:
    observations = np.random.default_rng(2).uniform(-0.2, 0.2, (300, 4)).astype(np.float32)
    with concurrent.futures.ThreadPoolExecutor(16) as agents:
        answers = list(agents.map(lambda each: ask(trainer, model, observation=each.tolist())["action"], observations))
    assert answers == actions(trainer, model, observations)


@pytest.mark.parametrize(
    "query, message",
    [
        ({"observation": [0, 0, 0]}, r"observations[0] has shape (3,)"),
        ({"observation": "x"}, "expected a list"),
        ({"observations": []}, "1 to 100000"),
        ({"observations": [[0, 0, 0, 0], [0, 0, 0, None]]}, "observations[1][3]"),
        ({}, "send either"),
        ({"observation": [0, 0, 0, 0], "observations": [[0, 0, 0, 0]]}, "send either"),
    ],
)
def test_invalid_observations_are_refused(trainer: Trainer, model: str, query: dict[str, Any], message: str) -> None:
    refused = trainer.post(f"/models/{model}/predict", query)
    assert refused.status == 400 and message in refused.json["message"], refused.body


def test_a_rollout_is_an_episode_of_its_environment(trainer: Trainer, model: str) -> None:
    rollout = trainer.post(f"/models/{model}/rollout", {"seed": 5, "steps": 30}).json
    env = gymnasium.make("CartPole-v1")
    observation, _ = env.reset(seed=5)
    for seen, action, reward in zip(rollout["observations"], rollout["actions"], rollout["rewards"], strict=True):
        assert np.array_equal(np.array(seen, np.float32), observation)
        observation, wanted, *_ = env.step(action)
        assert reward == wanted
    assert rollout["done"] or len(rollout["rewards"]) == 30
    assert trainer.post(f"/models/{model}/rollout", {"steps": 0}).status == 400


def test_versions_count_within_a_title_and_one_is_promoted(trainer: Trainer, experiment: str) -> None:
    first, second = (trainer.post("/models/", {"experiment_id": experiment, "title": "best"}).json for _ in range(2))
    assert (first["version"], second["version"]) == (1, 2)
    for one, other in ((first, second), (second, first)):
        assert trainer.request("PATCH", f"/models/{one['id']}/", {"is_promoted": True}).json["is_promoted"]
        assert not trainer.get(f"/models/{other['id']}/").json["is_promoted"]
    moved = trainer.request("PATCH", f"/models/{first['id']}/", {"title": "other"}).json
    assert (moved["title"], moved["version"], moved["is_promoted"]) == ("other", 1, False)
    assert trainer.request("DELETE", f"/models/{first['id']}/").status == 204
    assert trainer.get(f"/models/{first['id']}/").status == 404
    assert not (trainer.data / "models" / first["id"]).exists()


@pytest.mark.long
def test_a_model_outlives_its_experiment(trainer: Trainer) -> None:
    name = trainer.started(total_timesteps=512, hyperparameters={"n_steps": 256}, normalize=True)
    trainer.until(name, "completed")
    model = trainer.post("/models/", {"experiment_id": name}).json["id"]
    assert trainer.request("DELETE", f"/experiments/{name}/").status == 204
    observations = np.array([[0.1, 0.2, -0.1, 0.3]], np.float32)
    assert ask(trainer, model, observations=observations.tolist())["actions"] == actions(trainer, model, observations)


def test_an_experiment_without_a_model_cannot_be_kept(trainer: Trainer) -> None:
    refused = trainer.post("/models/", {"experiment_id": trainer.experiment()})
    assert refused.status == 409 and "has not left a model" in refused.json["message"]


def test_the_onnx_graph_acts_like_the_model(trainer: Trainer, model: str) -> None:
    download = trainer.get(f"/models/{model}/onnx")
    assert download.status == 200, download.body
    observations = np.random.default_rng(3).uniform(-0.2, 0.2, (100, 4)).astype(np.float32)
    (actions,) = onnxruntime.InferenceSession(download.body).run(None, {"observation": observations})
    assert actions.tolist() == ask(trainer, model, observations=observations.tolist())["actions"]
    assert trainer.get(f"/models/{model}/onnx").body == download.body


@pytest.mark.long
def test_queries_are_answered_although_the_model_server_dies(trainer: Trainer, model: str) -> None:
    ask(trainer, model, observation=[0, 0, 0, 0])
    (pid,) = wait_for(lambda: processes(trainer))
    os.kill(pid, signal.SIGKILL)
    assert ask(trainer, model, observation=[0, 0, 0, 0])["action"] in (0, 1)
    assert processes(trainer) != [pid]


@pytest.mark.long
def test_other_accounts_models_are_not_found(secured: Secured) -> None:
    missing = secured.ask("other", "POST", "/models/nothing/predict", {"observation": [0]})
    assert missing.status == 404 and "there is no model" in missing.json["message"]
