"""Graded submissions in musculoskeletal environments are verified by replay."""

from pathlib import Path

import pytest

from gymserve.environments import Catalogue
from gymserve.grader.proofs import verification
from gymserve.journal import read
from tests.grader.journals import make_challenge, play

IDS = ("osim/Arm2D-v0", "osim/L2M2019-v0", "osim/Prosthetics-v0", "osim/Run-v0")


@pytest.mark.parametrize("env_id", [IDS[0], *(pytest.param(each, marks=pytest.mark.long) for each in IDS[1:])])
def test_a_submission_is_verified(tmp_path: Path, env_id: str) -> None:
    journal = play(tmp_path, make_challenge(env_id, max_episode_steps=6), "random")
    verdict = verification.verify(list(read(journal)), Catalogue())
    assert (verdict.state, verdict.difference) == ("verified", 0.0) and verdict.steps > 6
