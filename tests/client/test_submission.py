"""What `client.submit` prints is what a participant saw at home."""

from pathlib import Path

import pytest

from client.submission import Result
from grader import running, scoring, tables
from gymserve.journal import read
from tests.grader.journals import CARTPOLE, CATALOGUE, challenge


@pytest.mark.parametrize("secondary", ["", "steps"])
def test_it_prints_the_table_of_a_run_at_home_and_the_rank(tmp_path: Path, secondary: str) -> None:
    asked = challenge("CartPole-v1", max_episode_steps=9, scoring={"worst": 0, "secondary": secondary})
    home = running.practise(asked, running.agent("random"), 3, tmp_path, CATALOGUE)
    told = home.to_map()
    remote = Result(
        "s1", "cart", "graded", "", told["score"], told["spread"], told["standard_error"], 2, "verified",
        told["trials"], told["secondary"],
    )  # fmt: skip
    assert str(remote) == f"{tables.of_result(home)}\nrank 2, graded, verified"


def test_trials_that_were_not_played_are_told_too(tmp_path: Path) -> None:
    plan = [{"seed": 1, "options": None, "kwargs": {}}] * 2
    stop = iter((True,))
    journal = running.play(
        CARTPOLE, plan, running.agent("random"), tmp_path, CATALOGUE, until=lambda: next(stop, False)
    )
    home = scoring.of_journal(read(journal), challenge("CartPole-v1").scoring)
    told = home.to_map()
    remote = Result(
        "s1", "cart", "abandoned", home.reason, None, None, None, None, "", told["trials"], told["secondary"]
    )  # fmt: skip
    assert str(remote) == f"{tables.of_result(home)}\nabandoned"
    assert "1 unplayed" in str(remote)
