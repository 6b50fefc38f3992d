"""A journal is verified by replaying it, and a changed record is found and named."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gymserve.grader.proofs import verification
from gymserve.journal import Created, Ended, Reset, Step, read, records
from gymserve.journal.file import scan
from gymserve.protocol.errors import InvalidValue, Unavailable
from tests.grader.journals import (
    CARTPOLE,
    CATALOGUE,
    bodies,
    from_bodies,
    make_challenge,
    play,
    replace_record,
    step_like,
)
from tests.support.environments.faulty import Telltale


def verdict_on(data: bytes, **options: Any) -> verification.Verdict:
    return verification.verify([record for record, _, _ in scan(data)], CATALOGUE, **options)


def place(journal: Path, kind: type, number: int = 0) -> tuple[int, Any]:
    """The index of the number-th record of a kind, and the record."""
    return [(index, record) for index, record in enumerate(read(journal)) if isinstance(record, kind)][number]


def test_a_played_submission_is_verified(tmp_path: Path) -> None:
    journal = play(tmp_path)
    steps = sum(isinstance(record, Step) for record in read(journal))
    verdict = verdict_on(journal.read_bytes())
    assert (verdict.state, verdict.steps, verdict.difference) == ("verified", steps, 0.0)


@pytest.mark.parametrize(
    "environment", ["LunarLander-v3", "HalfCheetah-v5", pytest.param("ALE/Pong-v5", marks=pytest.mark.long)]
)
def test_simulators_replay(tmp_path: Path, environment: str) -> None:
    journal = play(tmp_path, make_challenge(environment, max_episode_steps=60), "random")
    assert verdict_on(journal.read_bytes()).state == "verified"


@pytest.mark.guarantee("a journal is changed on the disk")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reward": 2.0}, "the reward is 1.0, not 2.0"),
        ({"digest": 5}, "the observation differs"),
        ({"action": 1}, "the observation differs"),
        ({"action": 9}, "is"),
        ({"truncated": True, "time": 1.0}, "step after the end"),
    ],
)
def test_a_changed_step_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    journal = play(tmp_path, agent="tests.grader.journals:Alternating")
    index, step = place(journal, Step, 3)
    if changes.get("action") == step.action:
        index, step = place(journal, Step, 4)
    verdict = verdict_on(replace_record(journal, index, step_like(step, **changes)))
    assert verdict.state == "mismatch" and words in verdict.reason and verdict.record in (index, index + 1)


@pytest.mark.guarantee("a journal is changed on the disk")
def test_removed_and_added_records_are_detected(tmp_path: Path) -> None:
    journal = play(tmp_path)
    index, _ = place(journal, Step, 4)
    assert verdict_on(replace_record(journal, index, None)).state == "mismatch"
    index, reset = place(journal, Reset, 1)
    assert verdict_on(replace_record(journal, index, None)).record == index
    other = records.encode_reset(reset._replace(seed=reset.seed + 2))
    verdict = verdict_on(replace_record(journal, index, other))
    assert verdict.record == index and "another seed" in verdict.reason
    twice = records.encode_reset(place(journal, Reset, 3)[1])
    assert "trial 5 of 4" in verdict_on(replace_record(journal, place(journal, Step, -1)[0] + 1, twice)).reason
    ended = records.encode_ended(4, "failed: the reward is not finite", None, 1.0)
    assert (
        "whose rewards are finite" in verdict_on(replace_record(journal, place(journal, Step, -1)[0] + 1, ended)).reason
    )
    created = place(journal, Created)[1]
    plain = created.recipe.replace(trials=())
    assert verdict_on(replace_record(journal, 0, records.encode_created(plain))).record == 0


@pytest.mark.parametrize("changes", [{"truncated": False, "time": None}, {"terminated": True}], ids=str)
def test_a_different_end_is_named_whatever_the_tolerance(tmp_path: Path, changes: dict[str, Any]) -> None:
    journal = play(tmp_path)
    index, step = place(journal, Step, -1)
    assert step.truncated and not step.terminated
    for tolerance in (0.0, 1e9):
        verdict = verdict_on(replace_record(journal, index, step_like(step, **changes)), tolerance=tolerance)
        assert (verdict.state, verdict.record) == ("mismatch", index) and "end of the episode" in verdict.reason


def test_a_different_first_observation_is_named(tmp_path: Path) -> None:
    journal = play(tmp_path)
    index, reset = place(journal, Reset, 1)
    verdict = verdict_on(replace_record(journal, index, records.encode_reset(reset._replace(digest=5))))
    assert (verdict.state, verdict.record) == ("mismatch", index) and "the observation" in verdict.reason


def test_options_are_compared_even_if_the_environment_ignores_them(tmp_path: Path) -> None:
    journal = play(tmp_path)
    index, reset = place(journal, Reset, 1)
    verdict = verdict_on(replace_record(journal, index, records.encode_reset(reset._replace(options={"unknown": 1}))))
    assert (verdict.state, verdict.record) == ("mismatch", index) and "other options" in verdict.reason


def test_records_in_impossible_places_are_named(tmp_path: Path) -> None:
    journal = play(tmp_path)
    parts, last = bodies(journal.read_bytes()), place(journal, Step, -1)[0]
    ended = records.encode_ended(2, "reset", None, 1.0)  # in the fourth trial
    verdict = verdict_on(from_bodies(journal, [*parts[: last + 1], ended]))
    assert (verdict.state, verdict.record) == ("mismatch", last + 1) and "ends trial 2" in verdict.reason
    verdict = verdict_on(from_bodies(journal, [*parts[:5], parts[0], *parts[5:]]))
    assert (verdict.state, verdict.record) == ("mismatch", 5) and "creates the instance again" in verdict.reason


def test_lost_trials_are_not_replayed(tmp_path: Path) -> None:
    journal = play(tmp_path)
    parts, (last, step) = bodies(journal.read_bytes()), place(journal, Step, -1)
    other = step_like(step, digest=5, truncated=False, time=None)
    assert verdict_on(from_bodies(journal, [*parts[:last], other])).state == "mismatch"
    lost = records.encode_ended(4, "lost: the environment does not replay identically", None, 1.0)
    assert verdict_on(from_bodies(journal, [*parts[:last], other, lost])).state == "verified"


def test_an_environment_that_does_not_replay_is_not_replayable(tmp_path: Path) -> None:
    journal = play(tmp_path, make_challenge("Forgetful-v0", max_episode_steps=5), "tests.grader.journals:harmless")
    assert verdict_on(journal.read_bytes()).state == "not replayable"


def test_an_environment_that_cannot_be_created_is_not_replayable(tmp_path: Path) -> None:
    journal = play(tmp_path)
    recipe = place(journal, Created)[1].recipe.replace(environment="Gone-v0")
    verdict = verdict_on(replace_record(journal, 0, records.encode_created(recipe)))
    assert verdict.state == "not replayable" and "cannot be created" in verdict.reason


def test_a_tolerance_allows_small_differences_of_returns_only(tmp_path: Path) -> None:
    journal = play(tmp_path)
    index, step = place(journal, Step, 2)
    near = replace_record(journal, index, step_like(step, reward=1.25, digest=5))
    assert verdict_on(near).state == "mismatch"
    assert verdict_on(near, tolerance=0.2).state == "mismatch"
    allowed = verdict_on(near, tolerance=0.3)
    assert (allowed.state, allowed.difference, allowed.tolerance) == ("verified", 0.25, 0.3)
    assert verdict_on(replace_record(journal, index, step_like(step, reward=0.75)), tolerance=0.2).state == "mismatch"


def test_no_tolerance_allows_a_reward_that_is_not_finite(tmp_path: Path) -> None:
    journal = play(tmp_path)
    index, step = place(journal, Step, -1)
    verdict = verdict_on(replace_record(journal, index, step_like(step, reward=math.nan)), tolerance=1e9)
    assert (verdict.state, verdict.record) == ("mismatch", index) and "reward" in verdict.reason


def test_failed_cut_and_lost_trials_are_replayed_up_to_their_end(tmp_path: Path) -> None:
    journal = play(
        tmp_path, make_challenge("Telltale-v0", max_episode_steps=9), "tests.grader.proofs.test_verification:nan_third"
    )
    assert [type(record) for record in read(journal)].count(Ended) == 3
    assert verdict_on(journal.read_bytes()).state == "verified"


def test_trials_with_an_environment_that_modifies_its_options_are_verified(tmp_path: Path) -> None:
    variants = [{"options": {"size": 7, "nested": {"a": 1}}}, {"kwargs": {"config": {"start": 2}}}]
    grabbing = make_challenge("Grabbing-v0", max_episode_steps=5, trials={"number": 4, "variants": variants})
    journal = play(tmp_path, grabbing, "random")
    assert [record.options for record in read(journal) if isinstance(record, Reset)][::2] == [
        variants[0]["options"]
    ] * 2
    assert verdict_on(journal.read_bytes()).state == "verified"
    assert verdict_on(journal.read_bytes(), tolerance=1.0).state == "verified"


def nan_third(observation: Any) -> int:
    return Telltale.NAN if observation[0] == 2 else Telltale.GO


def test_the_heartbeat_can_end_a_verification(tmp_path: Path) -> None:
    def too_late() -> None:
        raise Unavailable("too late")

    with pytest.raises(Unavailable):
        verdict_on(play(tmp_path).read_bytes(), heartbeat=too_late)


@pytest.mark.parametrize("tolerance", [0.0, 1.0])
def test_the_heartbeat_is_called_in_each_trial_but_not_at_each_step(tmp_path: Path, tolerance: float) -> None:
    beats: list[None] = []
    data = play(tmp_path).read_bytes()
    verdict = verdict_on(data, tolerance=tolerance, heartbeat=lambda: beats.append(None))
    assert verdict.steps == 80 and 4 <= len(beats) <= 8


def test_an_empty_journal_is_refused() -> None:
    assert verification.verify([], CATALOGUE).state == "mismatch"
    assert CARTPOLE.tolerance == 0


def far(observation: Any) -> Any:
    """A policy with actions outside the action space."""
    return np.array([9.0], np.float32)


@pytest.mark.parametrize("actions", ["clip", "refuse"])
def test_actions_outside_the_space_are_clipped_if_the_challenge_says_so(tmp_path: Path, actions: str) -> None:
    pendulum = make_challenge("Pendulum-v1", max_episode_steps=5, actions=actions)
    if actions == "refuse":
        with pytest.raises(InvalidValue):
            play(tmp_path, pendulum, "tests.grader.proofs.test_verification:far")
        return
    journal = play(tmp_path, pendulum, "tests.grader.proofs.test_verification:far")
    assert verdict_on(journal.read_bytes()).state == "verified"
