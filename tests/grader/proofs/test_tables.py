"""The command line's text for a replay."""

from gymserve.grader.challenges.states import VerdictState
from gymserve.grader.proofs.tables import verdict_text
from gymserve.grader.proofs.verification import Verdict


def test_a_verdict_has_its_speed_its_difference_and_its_reason() -> None:
    verdict = Verdict(VerdictState.MISMATCH, "record 3 differs", steps=30, seconds=1.5, difference=0.25, tolerance=0.5)
    assert verdict_text(verdict) == (
        "mismatch: 30 steps replayed in 1.50 s (20 a second), returns differ by at most 0.25 (tolerance 0.5)\n"
        "record 3 differs"
    )


def test_a_verdict_without_a_replay_has_no_speed() -> None:
    assert verdict_text(Verdict(VerdictState.VERIFIED)) == "verified: 0 steps replayed in 0.00 s (0 a second)"
