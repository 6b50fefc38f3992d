"""Uploaded models act as where they were trained, and whatever an attacker puts into the file is refused or never read."""

import base64
import io
import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO, SAC

from gymserve.protocol.errors import InvalidRequest
from gymserve.training.uploads import foreign
from tests.support.servers import Answer
from tests.training.conftest import Trainer

ROW = "an uploaded model contains code, a zip bomb, a path or other weights"
PLACE = "/models/upload?title=mine&algorithm={}&environment={}"


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


@pytest.fixture(scope="module")
def ppo() -> PPO:
    return PPO(
        "MlpPolicy", "CartPole-v1", policy_kwargs={"net_arch": [16], "activation_fn": torch.nn.ReLU}, device="cpu"
    )


def saved(model: Any, **changes: bytes) -> bytes:
    """The model's file, with some of its files replaced."""
    whole, changed = io.BytesIO(), io.BytesIO()
    model.save(whole)
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(changed, "w") as other:
        for name in {*archive.namelist(), *changes}:
            other.writestr(name, changes[name] if name in changes else archive.read(name))
    return changed.getvalue()


def upload(
    trainer: Trainer, data: bytes, algorithm: str = "PPO", environment: str = "CartPole-v1", more: str = ""
) -> Answer:
    return trainer.post(PLACE.format(algorithm, environment) + more, data, Content_Type="application/zip")


@pytest.mark.long
def test_it_acts_as_where_it_was_trained(trainer: Trainer, ppo: PPO) -> None:
    made = upload(trainer, saved(ppo))
    assert made.status == 201, made.body
    card = made.json
    assert (card["title"], card["algorithm"], card["experiment_id"]) == ("mine", "PPO", None)
    assert card["hyperparameters"]["policy_kwargs"] == {"net_arch": [16], "activation_fn": "relu", **_rest(card)}
    observations = np.random.default_rng(1).uniform(-0.3, 0.3, (100, 4)).astype(np.float32)
    actions = trainer.post(f"/models/{card['id']}/predict", {"observations": observations.tolist()}).json["actions"]
    assert actions == ppo.predict(observations, deterministic=True)[0].tolist()
    files = sorted(path.name for path in (trainer.data / "models" / card["id"]).iterdir())
    assert files == ["model.zip", "plan.json", "spaces.pkl"]
    assert trainer.post(f"/models/{card['id']}/retrain", {"total_timesteps": 128}).status == 201


def _rest(card: dict[str, Any]) -> dict[str, Any]:
    shapes = card["hyperparameters"]["policy_kwargs"]
    return {name: value for name, value in shapes.items() if name not in ("net_arch", "activation_fn")}


@pytest.mark.long
def test_continuous_actions_and_a_form(trainer: Trainer) -> None:
    model = SAC("MlpPolicy", "Pendulum-v1", policy_kwargs={"net_arch": [16]}, buffer_size=100, device="cpu")
    body = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (name.encode(), more, value)
        for name, more, value in (
            ("title", b"", b"swing"), ("algorithm", b"", b"sac"), ("environment", b"", b"Pendulum-v1"),
            ("file", b'; filename="m.zip"', saved(model)),
        )
    )  # fmt: skip
    made = trainer.post("/models/upload", body + b"--x--\r\n", Content_Type="multipart/form-data; boundary=x")
    assert made.status == 201, made.body
    observation = [0.5, -0.5, 1.0]
    action = trainer.post(f"/models/{made.json['id']}/predict", {"observation": observation}).json["action"]
    assert action == pytest.approx(model.predict(np.array(observation, np.float32), deterministic=True)[0].tolist())


@pytest.mark.long
@pytest.mark.parametrize("name", ["policy.pth", "pytorch_variables.pth"])
@pytest.mark.guarantee(ROW)
def test_code_in_a_weights_file_is_refused_and_not_run(trainer: Trainer, ppo: PPO, tmp_path: Path, name: str) -> None:
    bomb = Bomb(tmp_path / "ran")
    inside = io.BytesIO(pickle.dumps(bomb))
    if name == "pytorch_variables.pth":
        torch.save({"x": bomb}, inside)
    refused = upload(trainer, saved(ppo, **{name: inside.getvalue()}))
    assert refused.status == 422 and "cannot be read safely" in refused.json["message"], refused.body
    assert not (tmp_path / "ran").exists()


@pytest.mark.long
@pytest.mark.guarantee(ROW)
def test_pickles_in_its_data_are_never_read(trainer: Trainer, ppo: PPO, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(saved(ppo))) as archive:
        data = json.loads(archive.read("data"))
    bomb = base64.b64encode(pickle.dumps(Bomb(tmp_path / "ran"))).decode()
    data = {
        name: {**value, ":serialized:": bomb} if ":serialized:" in str(value) else value for name, value in data.items()
    }
    made = upload(trainer, saved(ppo, data=json.dumps(data).encode()))
    assert made.status == 201, made.body
    assert trainer.post(f"/models/{made.json['id']}/predict", {"observation": [0, 0, 0, 0]}).status == 200
    kept = (trainer.data / "models" / made.json["id"] / "model.zip").read_bytes()
    assert bomb.encode() not in kept and not (tmp_path / "ran").exists()


@pytest.mark.long
@pytest.mark.guarantee(ROW)
def test_other_weights_are_refused_with_what_differs(trainer: Trainer, ppo: PPO) -> None:
    query = '&hyperparameters={"policy_kwargs":{"net_arch":[8]}}'
    refused = upload(trainer, saved(ppo), more=query)
    assert refused.status == 422 and "is (16, 4), not (8, 4)" in refused.json["message"], refused.body
    other = upload(trainer, saved(ppo), "DQN")
    assert other.status == 422 and "the weights are not those of DQN on CartPole-v1" in other.json["message"], (
        other.body
    )
    assert not list((trainer.data / "models").glob(".*"))


@pytest.mark.parametrize(
    "algorithm, environment, status, reason",
    [
        ("PPOO", "CartPole-v1", 422, "did you mean PPO"),
        ("PPO", "CartPole-v9", 422, "malformed environment ID"),
        ("SAC", "CartPole-v1", 422, "SAC needs an action space"),
        ("", "CartPole-v1", 400, "'algorithm' was not provided"),
    ],
)
def test_declared_settings_must_match(
    trainer: Trainer, ppo: PPO, algorithm: str, environment: str, status: int, reason: str
) -> None:
    refused = upload(trainer, saved(ppo), algorithm, environment)
    assert refused.status == status and reason in refused.json["message"], refused.body


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return whole.getvalue()


GOOD = {"data": b"{}", "policy.pth": b"x"}


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "not the zip file"),
        (b"PK\x03\x04" + b"\0" * 100, "not the zip file"),
        (zipped({**GOOD, "../../x.pth": b""}), "'../../x.pth'"),
        (zipped({**GOOD, "/etc/x.pth": b""}), "'/etc/x.pth'"),
        (zipped({**GOOD, "a/b.pth": b""}), "'a/b.pth'"),
        (zipped({**GOOD, "run.py": b""}), "'run.py'"),
        (zipped({"policy.pth": b""}), "lacks data"),
        (zipped({**GOOD, **{f"a{number}.pth": b"" for number in range(30)}}), "more than 20 files"),
        (zipped({**GOOD, "policy.pth": b"\0" * 10_000_000}, zipfile.ZIP_DEFLATED), "would unpack"),
        (zipped(GOOD, zipfile.ZIP_LZMA), "unsupported"),
        (zipped({**GOOD, "policy.pth": b"x" * 100})[:-40], "not the zip file"),
    ],
)
@pytest.mark.guarantee(ROW)
def test_zips_that_are_not_models_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason.replace("(", r"\(")):
        foreign.parts(data)


@pytest.mark.parametrize("data", [b"[]", b"{", b"[" * 100_000, b"\xff"])
def test_data_must_be_an_object(data: bytes) -> None:
    with pytest.raises(InvalidRequest, match="JSON"):
        foreign.attributes(data)


def test_nothing_at_all_is_refused_over_http(trainer: Trainer) -> None:
    assert upload(trainer, b"nothing").status == 400


@pytest.mark.guarantee(ROW)
def test_the_sandbox_runs_no_code_in_a_weights_file(tmp_path: Path) -> None:
    files = msgspec.msgpack.encode({"policy.pth": pickle.dumps(Bomb(tmp_path / "ran"))})
    command = [sys.executable, "-m", "gymserve.training.uploads.sandbox"]
    done = subprocess.run(command, input=files, capture_output=True, check=True)
    assert "UnpicklingError" in msgspec.msgpack.decode(done.stdout)["error"]
    assert not (tmp_path / "ran").exists()


def test_the_sandbox_opens_no_file_and_starts_no_process(tmp_path: Path) -> None:
    code = """
import os, sys
from gymserve.training.uploads import sandbox
sandbox._confine()
for act in (lambda: open(sys.argv[1] + "/x", "w"), lambda: os.open("/etc/passwd", os.O_RDONLY), lambda: bytearray(3 * 2**30)):
    try:
        act()
        os.write(1, b"done ")
    except (OSError, MemoryError):
        os.write(1, b"refused ")
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=False)
    assert done.stdout == b"refused refused refused ", done.stderr
