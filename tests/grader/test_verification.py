"""A journal is verified by replaying it; what was changed in it is found, and named."""

from pathlib import Path
from typing import Any

import pytest

from grader import verification
from gymserve.errors import Unavailable
from gymserve.journal import Created, Ended, Reset, Step, read, records
from gymserve.journal.file import scan
from tests.faulty_environments import Telltale
from tests.grader.journals import CARTPOLE, CATALOGUE, a_step, challenge, played, rewritten


def verdict_on(data: bytes, **options: Any) -> verification.Verdict:
    return verification.verify([record for record, _, _ in scan(data)], CATALOGUE, **options)


def place(journal: Path, kind: type, number: int = 0) -> tuple[int, Any]:
    """(place, record) of the number-th record of a kind."""
    return [(index, record) for index, record in enumerate(read(journal)) if isinstance(record, kind)][number]


def test_a_played_submission_is_verified(tmp_path: Path) -> None:
    journal = played(tmp_path)
    steps = sum(isinstance(record, Step) for record in read(journal))
    verdict = verdict_on(journal.read_bytes())
    assert (verdict.state, verdict.steps, verdict.difference) == ("verified", steps, 0.0)


@pytest.mark.parametrize("environment", ["LunarLander-v3", "HalfCheetah-v5", "ALE/Pong-v5"])
def test_simulators_replay(tmp_path: Path, environment: str) -> None:
    pytest.importorskip({"L": "Box2D", "H": "mujoco", "A": "ale_py"}[environment[0]])
    journal = played(tmp_path, challenge(environment, max_episode_steps=60), "random")
    assert verdict_on(journal.read_bytes()).state == "verified"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reward": 2.0}, "the reward is 1.0, not 2.0"),
        ({"digest": 5}, "the observation is another one"),
        ({"action": 1}, "the observation is another one"),
        ({"action": 9}, "is"),
        ({"truncated": True, "time": 1.0}, "step after the end"),
    ],
)
def test_a_changed_step_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    journal = played(tmp_path, agent="tests.grader.journals:Alternating")
    index, step = place(journal, Step, 3)
    if changes.get("action") == step.action:
        index, step = place(journal, Step, 4)
    verdict = verdict_on(rewritten(journal, index, a_step(step, **changes)))
    assert verdict.state == "mismatch" and words in verdict.reason and verdict.record in (index, index + 1)


def test_left_out_and_added_records_are_found(tmp_path: Path) -> None:
    journal = played(tmp_path)
    index, _ = place(journal, Step, 4)
    assert verdict_on(rewritten(journal, index, None)).state == "mismatch"
    index, reset = place(journal, Reset, 1)
    assert verdict_on(rewritten(journal, index, None)).record == index
    other = records.encode_reset(reset._replace(seed=reset.seed + 2))
    verdict = verdict_on(rewritten(journal, index, other))
    assert verdict.record == index and "another seed" in verdict.reason
    twice = records.encode_reset(place(journal, Reset, 3)[1])
    assert "trial 5 of 4" in verdict_on(rewritten(journal, place(journal, Step, -1)[0] + 1, twice)).reason
    ended = records.encode_ended(4, "failed: the reward is not finite", None, 1.0)
    assert "whose rewards are finite" in verdict_on(rewritten(journal, place(journal, Step, -1)[0] + 1, ended)).reason
    created = place(journal, Created)[1]
    plain = {name: value for name, value in created.meta.items() if name != "trials"}
    assert verdict_on(rewritten(journal, 0, records.encode_created(plain))).record == 0


def test_an_environment_that_does_not_replay_is_called_that(tmp_path: Path) -> None:
    journal = played(tmp_path, challenge("Forgetful-v0", max_episode_steps=5), "tests.grader.journals:well")
    assert verdict_on(journal.read_bytes()).state == "not replayable"


def test_an_environment_that_cannot_be_made_is_not_replayable(tmp_path: Path) -> None:
    journal = played(tmp_path)
    meta = place(journal, Created)[1].meta | {"environment": "Gone-v0"}
    verdict = verdict_on(rewritten(journal, 0, records.encode_created(meta)))
    assert verdict.state == "not replayable" and "cannot be made" in verdict.reason


def test_a_tolerance_forgives_returns_that_are_near_and_no_others(tmp_path: Path) -> None:
    journal = played(tmp_path)
    index, step = place(journal, Step, 2)
    near = rewritten(journal, index, a_step(step, reward=1.25, digest=5))
    assert verdict_on(near).state == "mismatch"
    assert verdict_on(near, tolerance=0.2).state == "mismatch"
    forgiven = verdict_on(near, tolerance=0.3)
    assert (forgiven.state, forgiven.difference, forgiven.tolerance) == ("verified", 0.25, 0.3)


def test_failed_cut_and_lost_trials_are_replayed_as_far_as_they_go(tmp_path: Path) -> None:
    journal = played(
        tmp_path, challenge("Telltale-v0", max_episode_steps=9), "tests.grader.test_verification:nan_third"
    )
    assert [type(record) for record in read(journal)].count(Ended) == 3
    assert verdict_on(journal.read_bytes()).state == "verified"


def nan_third(observation: Any) -> int:
    return Telltale.NAN if observation[0] == 2 else Telltale.GO


def test_what_watches_a_verification_can_end_it(tmp_path: Path) -> None:
    def too_late() -> None:
        raise Unavailable("too late")

    with pytest.raises(Unavailable):
        verdict_on(played(tmp_path).read_bytes(), alive=too_late)


def test_a_journal_that_is_no_submission_s_is_refused() -> None:
    assert verification.verify([], CATALOGUE).state == "mismatch"
    assert CARTPOLE.tolerance == 0
