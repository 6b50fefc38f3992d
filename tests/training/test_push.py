"""Models in an S3-compatible bucket, with moto's server as a real process."""

from collections.abc import Callable, Iterator

import obstore
import pytest

from tests.buckets import SECRET, Moto
from tests.training.conftest import Trainer


def kept(trainer: Trainer) -> str:
    """A model of a short experiment, with averages."""
    name = trainer.started(total_timesteps=256, hyperparameters={"n_steps": 128}, normalize=True)
    trainer.until(name, "completed")
    return str(trainer.post("/models/", {"experiment_id": name}).json["id"])


@pytest.fixture
def moto() -> Iterator[Moto]:
    server = Moto()
    yield server
    server.stop()


def test_a_model_is_pushed_whole_and_survives_a_bucket_that_is_away(train: Callable[..., Trainer], moto: Moto) -> None:
    trainer = train(WORKERS=1, **moto.settings)
    model = kept(trainer)
    told = trainer.post(f"/models/{model}/push")
    assert told.status == 200, told.body
    keys = [f"models/{model}/{name}" for name in ("graph.svg", "model.zip", "normalize.pkl", "order.json")]
    assert told.json == {"model_id": model, "bucket": "videos", "keys": keys}
    for key in keys:
        there = bytes(obstore.get(moto.store, key).bytes())
        assert there == (trainer.data / key).read_bytes()
    assert trainer.post(f"/models/{model}/push").json == told.json
    moto.stop()
    away = trainer.post(f"/models/{model}/push")
    assert away.status == 503 and "the bucket videos at 127.0.0.1" in away.json["message"]
    assert SECRET not in str(away.body) + "".join(trainer.output)
    assert trainer.post(f"/models/{model}/predict", {"observation": [0, 0, 0, 0]}).status == 200
    assert trainer.post("/models/nothing/push").status == 404
