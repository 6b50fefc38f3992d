"""Models in an S3-compatible bucket, with moto's server as a real process."""

from pathlib import Path

import obstore
import pytest

from gymserve.protocol.errors import Conflict
from gymserve.store import connect
from gymserve.store.models import Policy
from gymserve.training.models.registry import Models
from tests.support.buckets import SECRET
from tests.training.conftest import AwayBucket, Trainer


@pytest.mark.guarantee("the bucket is unavailable when a model is pushed")
def test_a_model_is_pushed_whole_and_survives_a_bucket_that_is_away(
    trainer: Trainer, model: str, bucket: AwayBucket
) -> None:
    away = trainer.post(f"/models/{model}/push")
    assert away.status == 503 and "the bucket videos at 127.0.0.1" in away.json["message"]
    bucket.arrive()
    pushed = trainer.post(f"/models/{model}/push")
    assert pushed.status == 200, pushed.body
    keys = sorted(f"models/{model}/{path.name}" for path in (trainer.data / "models" / model).iterdir())
    assert pushed.json == {"model_id": model, "bucket": "videos", "keys": keys}
    own = ("graph.svg", "model.zip", "normalize.pkl", "plan.json")  # and model.onnx, if another test has exported it
    assert {f"models/{model}/{name}" for name in own} <= set(keys)
    for key in keys:
        there = bytes(obstore.get(bucket.store, key).bytes())
        assert there == (trainer.data / key).read_bytes()
    assert trainer.post(f"/models/{model}/push").json == pushed.json
    bucket.stop()
    away = trainer.post(f"/models/{model}/push")
    assert away.status == 503 and SECRET not in str(away.body) + "".join(trainer.output)
    assert trainer.post(f"/models/{model}/predict", {"observation": [0, 0, 0, 0]}).status == 200
    assert trainer.post("/models/nothing/push").status == 404


def test_without_a_bucket_nothing_is_pushed(tmp_path: Path) -> None:
    database = connect("", tmp_path)
    models = Models(database, tmp_path / "models", tmp_path / "experiments", None)
    with pytest.raises(Conflict, match="S3_BUCKET"):
        models.push(Policy(name="kept"))
    database.close()
