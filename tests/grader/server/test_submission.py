"""A submission on a real server: created once, observed, finished, scored, signed and verified."""

from pathlib import Path

import pytest

from gymserve.grader.challenges import definition, seeds
from gymserve.grader.proofs import bundle, receipt, verification
from gymserve.grader.scores import scoring
from gymserve.grader.server.submissions import submission
from gymserve.journal import Reset, read
from gymserve.protocol.errors import UnknownInstance
from tests.grader.journals import CATALOGUE, PHASE_KEY, PUBLIC, SIGNING_KEY
from tests.hosts.instance.graders import Grader
from tests.support.servers import wait_for

CHALLENGE = definition.read(
    """name = "cart"
environment = "CartPole-v1"
max_episode_steps = 15
trials = { number = 3, fresh = true }
scoring = { worst = 0 }
limits = { submission_seconds = 600 }
"""
)


def begin(grader: Grader, name: str) -> str:
    return submission.begin(grader.instances, CHALLENGE, phase="public", phase_key=PHASE_KEY, submission=name)


def state(grader: Grader, token: str) -> tuple[str, int, int]:
    progress = submission.progress(grader.instances, token)
    return progress.state, progress.trial, progress.steps


def test_a_submission_from_beginning_to_proof(grader: Grader, tmp_path: Path) -> None:
    token = begin(grader, "s1")
    assert begin(grader, "s1") == token and begin(grader, "s2") != token
    assert state(grader, token) == ("created", 0, 0)
    steps = 0
    for trial in (1, 2, 3):
        grader.reset(token)
        assert state(grader, token) == ("running", trial, steps)
        steps += grader.play(token)
    assert state(grader, token) == ("over", 3, steps)

    journal = submission.finish(grader.instances, token, tmp_path / "kept" / "s1")
    assert submission.finish(grader.instances, token, journal) == journal
    assert state(grader, token) == ("closed", 3, steps)
    assert "closed by its agent" in submission.progress(grader.instances, token).reason

    records = list(read(journal))
    planned = [trial["seed"] for trial in seeds.plan(CHALLENGE, "public", PHASE_KEY, "s1")]
    assert [record.seed for record in records if isinstance(record, Reset)] == planned
    result = scoring.score_journal(records, CHALLENGE.scoring)
    assert result.score == steps / 3
    verdict = verification.verify(records, CATALOGUE)
    assert verdict.state == "verified"
    subject = receipt.GradedSubmission("s1", "ada", CHALLENGE, "public", seeds.commitment(PHASE_KEY))
    signed = receipt.issue(
        SIGNING_KEY, subject, journal=journal.read_bytes(), result=result, verdict=verdict, graded=1.0
    )
    data = bundle.build(journal=journal.read_bytes(), challenge=CHALLENGE, phase_key=PHASE_KEY, receipt=signed)
    assert bundle.read(data, trusted=[PUBLIC]).receipt.statement["verdict"] == "verified"


def test_leaving_keeps_the_trials_played_so_far(grader: Grader, tmp_path: Path) -> None:
    token = begin(grader, "s3")
    grader.reset(token)
    steps = grader.play(token)
    grader.reset(token)
    grader.step(token)
    grader.server.post(f"/v1/envs/{token}/close/")
    wait_for(lambda: state(grader, token) == ("closed", 2, steps + 1))
    result = scoring.score_journal(read(submission.finish(grader.instances, token, tmp_path / "s3")), CHALLENGE.scoring)
    assert [trial.state for trial in result.trials] == ["played", "cut", "unplayed"]
    assert result.score == pytest.approx((steps + 1) / 3)


def test_finishing_while_the_host_is_dead_loses_nothing(grader: Grader, tmp_path: Path) -> None:
    token = begin(grader, "s4")
    grader.reset(token)
    grader.step(token)
    grader.kill_hosts()
    kept = list(read(submission.finish(grader.instances, token, tmp_path / "s4")))
    assert [trial.steps for trial in scoring.trials_of(kept)] == [1, 0, 0]


def test_partial_copies_of_killed_processes_are_deleted(grader: Grader, tmp_path: Path) -> None:
    token, partial = begin(grader, "s5"), tmp_path / ".1-2.s5"
    partial.touch()
    assert submission.finish(grader.instances, token, tmp_path / "s5").exists() and not partial.exists()


def test_a_submission_without_instance_and_journal_is_unknown(grader: Grader, tmp_path: Path) -> None:
    for token in ("nonsense", "../instances", "s0-" + "x" * 22):
        with pytest.raises(UnknownInstance):
            submission.progress(grader.instances, token)
        with pytest.raises(UnknownInstance):
            submission.finish(grader.instances, token, tmp_path / "none")
    assert not (tmp_path / "none").exists()
