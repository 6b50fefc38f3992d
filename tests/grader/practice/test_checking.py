"""A check plays a challenge with a random agent for a limited time, and estimates how long a submission takes."""

from pathlib import Path

import pytest

from gymserve.environments import Catalogue
from gymserve.grader.challenges import definition
from gymserve.grader.practice import checking

TOML = """
name = "cart"
environment = "CartPole-v1"
max_episode_steps = 5
trials = { number = 3 }
phases = [ { name = "short", trials = 2 }, { name = "long", trials = 9 } ]
"""


@pytest.mark.parametrize(("seconds", "played"), [(1000.0, 2), (0.0, 1)])
def test_a_check_plays_the_shortest_phase_until_its_time_is_over(tmp_path: Path, seconds: float, played: int) -> None:
    findings = checking.check(definition.read(TOML), tmp_path, Catalogue([]), seconds=seconds)
    assert findings.played == len(findings.result.trials) == played
    assert findings.verdict.state == "verified" and findings.result.steps == 5 * played
    assert findings.seconds == pytest.approx(2 / played * findings.result.steps / findings.steps_per_second)
