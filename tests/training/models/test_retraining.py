"""Experiments that start from a model: from its exact weights, in environments with equal spaces, with its lineage."""

from typing import Any

import pytest
import torch
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.save_util import load_from_pkl

from tests.conftest import Secured
from tests.training.conftest import POLE, Trainer

UNSEEN = {"evaluation": {"episodes": 0}, "tensorboard": False}
STILL = {"learning_rate": 0.0}  # nothing is learned with it


def kept(trainer: Trainer, **settings: Any) -> str:
    """Train an experiment, keep its model, and return the model's id."""
    name = trainer.started(**settings)
    trainer.until(name, "completed")
    return str(trainer.post("/models/", {"experiment_id": name}).json["id"])


def retrained(trainer: Trainer, model: str, **settings: Any) -> dict[str, Any]:
    """Retrain a model and return the experiment."""
    merged = {**UNSEEN, **settings}
    made = trainer.post(f"/models/{model}/retrain", merged)
    assert made.status == 201, made.body
    trainer.post(f"/experiments/{made.json['id']}/train")
    return trainer.until(made.json["id"], "completed")


GONE = "a model is deleted before an experiment that retrains it starts"


@pytest.mark.guarantee(GONE)
def test_it_starts_from_the_weights_and_averages_of_a_deleted_model(trainer: Trainer, experiment: str) -> None:
    model = str(trainer.post("/models/", {"experiment_id": experiment}).json["id"])
    kept = trainer.data / "models" / model
    weights = PPO.load(kept / "model.zip", device="cpu").policy.state_dict()
    averages = load_from_pkl(kept / "normalize.pkl").obs_rms.count
    settings = {"total_timesteps": 128, "hyperparameters": STILL, **UNSEEN}
    row = trainer.post(f"/models/{model}/retrain", settings).json
    assert row["name"] == POLE and row["parent_model"] == model
    assert row["hyperparameters"]["n_steps"] == 128 and row["parameters"]["normalize"] == {}
    assert trainer.request("DELETE", f"/models/{model}/").status == 204 and not kept.exists()
    trainer.post(f"/experiments/{row['id']}/train")
    trainer.until(row["id"], "completed")
    after = trainer.folder(row["id"]).path
    went_on = PPO.load(after / "model.zip", device="cpu").policy.state_dict()
    assert all(torch.equal(weights[name], went_on[name]) for name in weights) and len(weights) == len(went_on)
    count = load_from_pkl(after / "normalize.pkl").obs_rms.count
    assert count == pytest.approx(averages + 128, abs=2)


@pytest.mark.long
def test_it_continues_to_learn_and_its_card_shows_the_lineage(trainer: Trainer, model: str) -> None:
    child = retrained(trainer, model, name="second", total_timesteps=256)
    middle = trainer.post("/models/", {"experiment_id": child["id"]}).json
    weights = [
        PPO.load(trainer.data / "models" / name / "model.zip", device="cpu").policy.state_dict()["action_net.weight"]
        for name in (model, middle["id"])
    ]
    assert not torch.equal(*weights)
    last = trainer.post(f"/models/{middle['id']}/retrain", {"name": "last"}).json
    assert [each["title"] for each in last["lineage"]] == ["second", POLE]
    assert middle["parent"] == model and [each["model_id"] for each in middle["lineage"]] == [model]
    assert trainer.get(f"/models/{model}/").json["parent"] is None


@pytest.mark.guarantee(GONE)
@pytest.mark.long
def test_the_entropy_coefficient_continues_and_the_model_may_be_deleted(trainer: Trainer) -> None:
    model = kept(
        trainer,
        algorithm="SAC",
        environment="Pendulum-v1",
        total_timesteps=150,
        hyperparameters={"learning_starts": 50},
        evaluation={"episodes": 0},
    )
    learned = SAC.load(trainer.data / "models" / model / "model.zip", device="cpu")
    settings = {"name": "on", "parent_model": model, "total_timesteps": 10, "evaluation": {"episodes": 0}}
    made = trainer.post("/experiments", settings).json
    copied = trainer.post(f"/experiments/{made['id']}/copy").json
    assert trainer.request("DELETE", f"/models/{model}/").status == 204
    for each in (made, copied):
        trainer.post(f"/experiments/{each['id']}/train")
        trainer.until(each["id"], "completed")
        went_on = SAC.load(trainer.folder(each["id"]).path / "model.zip", device="cpu")
        assert torch.equal(went_on.log_ent_coef, learned.log_ent_coef) and learned.log_ent_coef.item() != 0.0
        assert torch.equal(went_on.actor.mu.weight, learned.actor.mu.weight)


@pytest.mark.parametrize(
    "settings, reason",
    [
        ({"environment": "Acrobot-v1"}, "the model's observation space is Box (shape [4]"),
        ({"algorithm": "A2C"}, "the model's algorithm is PPO"),
        ({"hyperparameters": {"policy_kwargs": {"net_arch": [8]}}}, "policy_kwargs shapes the model's weights"),
        ({"normalize": {"norm_reward": False}}, "normalize shapes what the model sees"),
        ({"frame_stack": 4}, "frame_stack shapes"),
        ({"hyperparameters": {"n_stepz": 1}}, "did you mean n_steps"),
    ],
)
def test_settings_that_do_not_fit_the_model_are_refused(
    trainer: Trainer, model: str, settings: dict[str, Any], reason: str
) -> None:
    refused = trainer.post(f"/models/{model}/retrain", settings)
    assert refused.status == 422 and reason in refused.json["message"], refused.body


def test_equal_spaces_suffice(trainer: Trainer, model: str) -> None:
    made = trainer.post(f"/models/{model}/retrain", {"environment": "CartPole-v0"})
    assert made.status == 201 and made.json["trained_on"] == "CartPole-v0"


@pytest.mark.long
def test_missing_and_other_accounts_models_are_refused(secured: Secured, trainer: Trainer) -> None:
    settings = {"name": "x", "parent_model": "nothing"}
    refused = secured.ask("other", "POST", "/experiments", settings)
    assert refused.status == 422 and "there is no model" in refused.json["message"]
    refused = trainer.post("/experiments", {**settings, "parent_model": ["x"]})
    assert refused.status == 400 and "parent_model" in refused.json["message"], refused.body
