"""A run whose numbers become NaN says so, gets advice, and cannot be resumed from its page."""

import logging
import signal
from pathlib import Path

import pytest

from gymserve.settings import Settings
from gymserve.store import Database
from gymserve.store.models import Experiment
from gymserve.training.advice import assistant
from gymserve.training.experiments.listing import has_diverged
from gymserve.training.plan.training_plan import TrainingPlan
from gymserve.training.runners import sb3
from gymserve.training.runners.folder import DIVERGED, Folder
from gymserve.training.scheduling.scheduler import supervision_of
from gymserve.web.training.pages import buttons_of

PLAN = TrainingPlan(
    package="stable_baselines3", algorithm="PPO", environment="Exploding-v0", total_timesteps=64, tensorboard=False,
    hyperparameters={"n_steps": 32, "batch_size": 32}, modules=["tests.training.environments.troubled"], device="cpu",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*Overriding environment")  # another test may have registered the same environments
@pytest.mark.parametrize("validated", [True, False])  # torch's message differs without argument validation
def test_a_run_that_failed_with_nan_explains_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, validated: bool
) -> None:
    monkeypatch.setattr("torch.distributions.Distribution._validate_args", validated)
    handlers = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGUSR1)]
    Folder(tmp_path).prepare(PLAN)
    assert sb3.main(tmp_path) == 1
    for number, handler in handlers:  # this process outlives the run
        signal.signal(number, handler)
    outcome = Folder(tmp_path).outcome()
    assert outcome is not None and outcome["reason"].startswith(DIVERGED) and "lower learning_rate" in outcome["reason"]
    assert not outcome["reason"].endswith(":")
    row = Experiment(runner="sb3", state="failed", reason=outcome["reason"])
    assert has_diverged(row) and set(buttons_of(row)) == {"copy"}


def test_a_run_that_failed_otherwise_can_be_resumed() -> None:
    row = Experiment(runner="sb3", state="failed", reason="its process was killed 3 times")
    assert not has_diverged(row) and set(buttons_of(row)) == {"resume", "copy"}
    assert set(buttons_of(Experiment(runner="ptf", state="running", reason=""))) == {"stop", "copy"}


def test_the_assistant_reports_a_divergence_first() -> None:
    for language, said in ((assistant.ENGLISH, "NaN or infinite, with learning_rate 0.01"), (assistant.CHINESE, "NaN")):
        run = assistant.TrainingRun("PPO", {"learning_rate": 0.01}, 64, diverged=True)
        results = assistant.findings(run, {}, language)
        assert results[0].severity == assistant.SEVERE and said in results[0].seen
    assert "divergence" not in {each.name for each in assistant.findings(assistant.TrainingRun("PPO", {}, 64), {})}


def test_a_failed_experiment_is_an_error_in_the_log(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("gymserve"), "propagate", True)
    caplog.set_level(logging.INFO, "gymserve")
    supervision = supervision_of(Settings(DATA=str(tmp_path)))
    supervision.database = database
    for name, state in (("good", "completed"), ("bad", "failed")):
        with database.writing() as session:
            row = Experiment(name=name, title="t", runner="sb3", state="running", request="", reason="", attempts=1)
            session.add(row)
        Folder(tmp_path / "experiments" / name).prepare(PLAN)
        Folder(tmp_path / "experiments" / name).end(state, reason="of NaN" if state == "failed" else "")
    with database.writing() as session:
        session.add(
            Experiment(name="gone", title="t", runner="gone", state="queued", request="", reason="", parameters={})
        )
    supervision.tick()
    levels = {record.getMessage(): record.levelname for record in caplog.records if "experiment" in record.getMessage()}
    assert levels["experiment good is completed: "] == "INFO"
    assert levels["experiment bad is failed: of NaN"] == "ERROR"
    assert levels["experiment gone is failed: the runner gone is not set up here any more (RUNNERS)"] == "ERROR"
