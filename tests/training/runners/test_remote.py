"""Training on another server's environments, through the client."""

import json
from collections.abc import Callable

import pytest

from tests.training.conftest import Trainer


@pytest.mark.long
def test_an_experiment_trains_on_another_server(train: Callable[..., Trainer]) -> None:
    far = train(AUTH="token")
    _, key = far.account("trainer")
    near = train(TRAINING_SERVERS={"far": far.url}, TRAINING_TOKENS={"far": key})
    name = near.started(server="far", total_timesteps=256, hyperparameters={"n_steps": 64}, evaluation={"episodes": 1})
    row = near.until(name, "completed")
    assert row["parameters"]["server"] == "far" and row["timesteps"] == 256
    assert far.get("/v1/envs/", Authorization=f"Bearer {key}").json["all_envs"] == {}  # closed at the end
    folder = near.folder(name)
    kept = [file.read_bytes() for file in folder.path.rglob("*") if file.is_file()]
    assert kept and all(key.encode() not in each for each in kept)
    assert key not in json.dumps(near.get("/config").json)
