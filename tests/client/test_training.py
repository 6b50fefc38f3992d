"""Training from Python: experiments are created, waited for and read, and their models used."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gymserve import client
from gymserve.cli.main import main
from gymserve.client.training import Experiment
from tests.training.conftest import QUICK, Trainer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainer]:
    started = Trainer(tmp_path_factory.mktemp("data"))
    yield started
    started.stop()
    started.end_experiments()


@pytest.fixture(scope="module")
def experiments(server: Trainer) -> Iterator[client.Experiments]:
    known = client.Experiments(server.url)
    yield known
    known.close()


@pytest.fixture(scope="module")
def run(experiments: client.Experiments) -> Experiment:
    started = experiments.train(
        "pole", algorithm="PPO", environment="CartPole-v1", total_timesteps=2048, tags=["a"], **QUICK
    )
    return started.wait(progress=False, timeout=300)


def test_an_experiment_is_waited_for_and_read(experiments: client.Experiments, run: Experiment) -> None:
    assert run.status == "completed" and run.row["timesteps"] == 2048 and "PPO on CartPole-v1" in repr(run)
    curves = run.metrics("reward")
    timesteps, rewards = curves["reward"]
    assert set(curves) == {"reward"} and timesteps.dtype == np.int64 and rewards.dtype == np.float64
    assert len(timesteps) == len(rewards) > 10 and (np.diff(timesteps) > 0).all() and (rewards > 0).all()
    assert len(run.metrics("reward", points=5)["reward"][0]) == 5 and len(run.metrics()) > 3
    assert run.results()["final_evaluation"]["mean_reward"] > 0
    assert [each.id for each in experiments.list(tag="a")] == [run.id] and experiments.list(tag="b") == []
    assert experiments.find(run.id).row == run.row
    assert "PPO" in {each["name"] for each in experiments.algorithms()}


@pytest.mark.long
def test_progress_is_a_bar(server: Trainer, capsys: pytest.CaptureFixture[str]) -> None:
    known = client.Experiments(server.url)
    run = known.train("bar", algorithm="PPO", environment="CartPole-v1", total_timesteps=2048, **QUICK)
    run.wait(progress=True, timeout=300)
    shown = capsys.readouterr().err
    assert "bar: " in shown and "of 2,048 timesteps" in shown
    run.delete()
    with pytest.raises(client.NotFound):
        known.find(run.id)
    known.close()


@pytest.mark.long
def test_a_run_is_paused_and_goes_on(experiments: client.Experiments) -> None:
    run = experiments.train("long", algorithm="PPO", environment="CartPole-v1", total_timesteps=10**6, **QUICK)
    while run.refresh()["timesteps"] == 0:
        assert run.row["status"] in ("queued", "running")
    run.pause()
    assert run.wait(timeout=300).row["status"] == "paused"
    run.resume()
    assert run.row["status"] in ("queued", "running")
    with pytest.raises(client.ServerError, match="still running|still queued"):
        run.wait(progress=False, timeout=0.0)
    run.stop()
    assert run.status == "stopped"


def test_an_impossible_experiment_is_an_error(experiments: client.Experiments) -> None:
    with pytest.raises(client.Untrainable, match="DQN"):
        experiments.create("no", algorithm="DQN", environment="Pendulum-v1")
    with pytest.raises(client.NotFound):
        experiments.find("../users/1")


@pytest.mark.long
def test_a_model_predicts_and_is_an_agent(server: Trainer, run: Experiment) -> None:
    model = run.keep("kept")
    observations = np.random.default_rng(1).uniform(-0.1, 0.1, (20, 4)).astype(np.float32)
    assert [model.predict(each) for each in observations] == model.predict_many(observations)
    definition = {
        "name": "short", "environment": "CartPole-v1", "max_episode_steps": 5, "trials": {"number": 2}, "scoring": {"worst": 0},
    }  # fmt: skip
    assert server.post("/challenges/", {"definition": definition}).status == 200
    result = client.submit("short", model, server=server.url, progress=False)
    assert result.score == 5.0 and result.verdict == "verified"


@pytest.mark.long
def test_a_model_is_uploaded_with_progress(
    experiments: client.Experiments, run: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, file = run.keep("here"), tmp_path / "pole.zip"
    file.write_bytes(experiments.http.call("GET", f"/models/{model.id}/file"))
    kind = {"algorithm": "PPO", "environment": "CartPole-v1"}
    copy = experiments.upload(file, "there", progress=True, **kind)
    shown = capsys.readouterr().err
    assert "there: ····" in shown and f" of {file.stat().st_size:,} bytes" in shown and "the server checks it" in shown
    observations = np.random.default_rng(0).uniform(-0.1, 0.1, (20, 4)).astype(np.float32)
    assert copy.id != model.id and copy.predict_many(observations) == model.predict_many(observations)
    words = ["model", "upload", str(file), "--algorithm", "ppo", "--environment", "CartPole-v1"]
    words += ["--server", str(experiments.http.address)]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "pole"
    assert main([*words, "--title", "mine"]) == 0
    assert capsys.readouterr().out.endswith(", mine: ppo on CartPole-v1\n")
    assert main([*words, "--hyperparameters", "[1]"]) == 2 and "must be a JSON object" in capsys.readouterr().err
    file.write_bytes(b"no zip")
    assert main(words) == 1
    error = capsys.readouterr().err
    assert error.startswith("gymserve: ") and error.count("\n") == 1
