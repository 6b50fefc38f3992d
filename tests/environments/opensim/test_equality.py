"""Observations and rewards equal those of osim-rl 3.0.11 in each step."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from gymserve.environments.opensim.arm import Arm2D
from gymserve.environments.opensim.learn_to_move import LearnToMove
from tests.environments.opensim import release
from tests.environments.opensim.original import record
from tests.environments.opensim.original.osim_rl import Scenario

RECORDED = [(Scenario(**row["scenario"]), row) for row in json.loads(record.RECORD.read_text())]
LIVE = (
    Scenario("Arm2D", seed=7, steps=10, every=1),
    Scenario("L2M2019", seed=8, steps=10, every=1),
    Scenario("L2M2019", seed=9, steps=10, every=1, model="2D", difficulty=2),
)


def compare(scenario: Scenario, answer: dict[str, list[float]], tolerance: float = 1e-6) -> None:
    env = Arm2D() if scenario.env == "Arm2D" else LearnToMove(model=scenario.model, difficulty=scenario.difficulty)
    env.reset(seed=scenario.seed)
    steps = [env.step(action) for action in scenario.actions()]
    np.testing.assert_allclose([step[1] for step in steps], answer["rewards"], rtol=0, atol=tolerance)
    observations = [step[0] for step in steps[scenario.every - 1 :: scenario.every]]
    np.testing.assert_allclose(observations, answer["observations"], rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("scenario", "answer"),
    RECORDED,
    ids=[f"{scenario.env}-{scenario.model}-{scenario.seed}" for scenario, _ in RECORDED],
)
def test_it_equals_the_recording(scenario: Scenario, answer: dict[str, list[float]]) -> None:
    # Processors round differently, and fifty steps of contact with the ground amplify that to 1e-2; one machine is exact.
    compare(scenario, answer, tolerance=0.05)


def test_the_recording_has_the_recorders_scenarios() -> None:
    assert tuple(scenario for scenario, _ in RECORDED) == record.SCENARIOS
    walked = [answer["rewards"] for scenario, answer in RECORDED if scenario.env == "L2M2019"]
    assert any(np.ptp(rewards) > 0.5 for rewards in walked)  # a footstep was rewarded


@pytest.mark.needs("osim-rl")
@pytest.mark.parametrize(
    "scenarios", [LIVE, pytest.param(record.SCENARIOS, marks=pytest.mark.long)], ids=["short", "as recorded"]
)
def test_it_equals_the_release_itself(tmp_path: Path, scenarios: tuple[Scenario, ...]) -> None:
    answers = record.answers(release.unpack(tmp_path), sys.executable, scenarios)
    for scenario, answer in zip(scenarios, answers, strict=True):
        compare(scenario, answer)
