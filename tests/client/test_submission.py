"""`client.submit` prints the table that a participant saw at home."""

from pathlib import Path

import pytest

from gymserve.client.submission import Result
from gymserve.grader.practice import running
from gymserve.grader.proofs import tables
from gymserve.grader.scores import scoring
from gymserve.journal import read
from tests.grader.journals import CARTPOLE, CATALOGUE, make_challenge


@pytest.mark.parametrize("secondary", ["", "steps"])
def test_it_prints_the_table_of_a_run_at_home_and_the_rank(tmp_path: Path, secondary: str) -> None:
    definition = make_challenge("CartPole-v1", max_episode_steps=9, scoring={"worst": 0, "secondary": secondary})
    home = running.practise(definition, running.agent("random"), 3, tmp_path, CATALOGUE)
    scores = home.to_dict()
    remote = Result(
        "s1", "cart", "graded", "", scores["score"], scores["spread"], scores["standard_error"], 2, "verified",
        scores["trials"], scores["secondary"],
    )  # fmt: skip
    assert str(remote) == f"{tables.result_table(home)}\nrank 2, graded, verified\nsubmission s1"


def test_trials_that_were_not_played_are_in_the_table(tmp_path: Path) -> None:
    plan: list[dict[str, object]] = [{"seed": 1, "options": None, "kwargs": {}}] * 2
    stop = iter((True,))
    journal = running.play(
        CARTPOLE, plan, running.agent("random"), tmp_path, CATALOGUE, until=lambda: next(stop, False)
    )
    home = scoring.score_journal(read(journal), make_challenge("CartPole-v1").scoring)
    scores = home.to_dict()
    remote = Result(
        "s1", "cart", "abandoned", home.reason, None, None, None, None, "", scores["trials"], scores["secondary"]
    )  # fmt: skip
    assert str(remote) == f"{tables.result_table(home)}\nabandoned\nsubmission s1"
    assert "1 unplayed" in str(remote)
