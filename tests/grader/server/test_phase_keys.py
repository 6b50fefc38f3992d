"""The key of a phase's seeds: published when no submission can use it any more, and never used again."""

import datetime
from typing import Any

import pytest

from gymserve.grader.challenges import seeds
from gymserve.grader.challenges.states import SubmissionState
from gymserve.grader.server.competitions import competition, phase_keys
from gymserve.grader.server.competitions.competition import ChallengeRecord
from gymserve.grader.server.submissions import lifecycle as submissions
from gymserve.grader.server.submissions import limits, settling
from gymserve.grader.server.submissions.settling import settle
from gymserve.protocol import errors
from gymserve.store.models import Submission, now
from tests.grader.server.place import Place

HOUR = datetime.timedelta(hours=1)
LAKE = """name = "lake"
environment = "FrozenLake-v1"
max_episode_steps = 8
trials = { number = 2 }
scoring = { worst = 0 }
"""


class Clock:
    """The clock that the grader reads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = datetime.timedelta()
        for module in (competition, submissions, settling, phase_keys, limits):
            monkeypatch.setattr(module, "now", lambda: now() + self.ahead)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def define(place: Place, closes: datetime.datetime, more: str = "") -> ChallengeRecord:
    phases = f'[[phases]]\nname = "public"\ncloses = {closes.isoformat()}\n'
    place.record = place.competition.define(LAKE + more + phases, owner_id=None)
    return place.record


def phase_of(place: Place) -> dict[str, Any]:
    (phase,) = place.competition.describe(place.competition.find("lake"))["phases"]
    return dict(phase)


def grade(place: Place, row: Submission) -> Submission:
    ended = place.submissions.finish(row)
    place.submissions.judge.verify(ended)
    return place.submissions.find(row.name)


@pytest.mark.guarantee("a phase closes while submissions of it go on")
def test_seeds_stay_secret_while_a_submission_is_active(place: Place, clock: Clock) -> None:
    define(place, now() + HOUR)
    done, late = place.begin(), place.begin()
    place.play(done)
    done = grade(place, done)
    assert done.state == SubmissionState.GRADED
    clock.ahead = HOUR
    judge = place.submissions.judge
    assert phase_of(place)["key"] is None and not phase_of(place)["is_open"]
    assert not judge.is_over(done) and not place.competition.is_shown(place.record, place.record.challenge.phases[0])
    with pytest.raises(errors.Conflict, match="when the phase is over"):
        judge.bundle(done)
    place.play(late)  # while the phase is over
    late = grade(place, late)
    key = bytes.fromhex(phase_of(place)["key"])
    assert seeds.is_revealed(phase_of(place)["commitment"], key) and judge.is_over(late)
    assert judge.bundle(done) and judge.bundle(late)


@pytest.mark.parametrize(("more", "most"), [("", 3600), ("limits = { submission_seconds = 60 }\n", 60)])
def test_an_unfinished_submission_does_not_withhold_the_key_forever(
    place: Place, clock: Clock, more: str, most: int
) -> None:
    define(place, now() + HOUR, more)
    row = place.begin()
    place.grader.reset(str(row.token))
    clock.ahead = HOUR + datetime.timedelta(seconds=most - 10)
    assert settle(place.submissions) == 0 and phase_of(place)["key"] is None
    clock.ahead = HOUR + datetime.timedelta(seconds=most + 10)
    assert settle(place.submissions) == 1 and phase_of(place)["key"] is not None
    ended = grade(place, row)
    assert ended.state == SubmissionState.ABANDONED and len(place.submissions.judge.bundle(ended)) > 0
    with pytest.raises(errors.UnknownInstance):
        place.grader.instances.reset(str(row.token))


@pytest.mark.parametrize("again", ["the dates", "the clock"])
def test_a_reopened_phase_has_another_key(place: Place, clock: Clock, again: str) -> None:
    define(place, now() + HOUR)
    first = place.begin()
    place.play(first)
    first = grade(place, first)
    clock.ahead = HOUR
    over = phase_of(place)
    assert seeds.is_revealed(over["commitment"], bytes.fromhex(over["key"]))
    if again == "the dates":
        define(place, now() + 3 * HOUR)
    else:
        clock.ahead = -HOUR
    anew = phase_of(place)
    assert anew["key"] is None and anew["is_open"] and anew["commitment"] != over["commitment"]
    second = place.begin()
    assert (first.key_generation, second.key_generation) == (0, 1)
    place.play(second)
    second = grade(place, second)
    assert f'"commitment":"{anew["commitment"]}"' in second.receipt and '"generation":1' in second.receipt
    judge = place.submissions.judge
    assert judge.bundle(first)  # its key is public
    assert not judge.is_over(second)
    clock.ahead = 4 * HOUR
    assert judge.is_over(second) and judge.bundle(second)
    last = phase_of(place)
    assert last["commitment"] == anew["commitment"] and last["key"] not in (None, over["key"])


def test_an_old_definition_publishes_no_key(place: Place, clock: Clock) -> None:
    old = define(place, now() + HOUR)
    define(place, now() + 3 * HOUR)
    clock.ahead = HOUR
    (phase,) = place.competition.describe(old)["phases"]
    assert phase["key"] is None


def test_a_submission_allowed_before_the_end_does_not_begin_with_a_public_key(place: Place, clock: Clock) -> None:
    """Its request had read the definition before the organiser closed the phase."""
    old = define(place, now() + HOUR)
    define(place, now() - HOUR)
    assert phase_of(place)["key"] is not None
    place.record = old
    assert place.begin().key_generation == 1


def test_a_key_that_is_public_in_one_challenge_is_secret_in_others(place: Place) -> None:
    def describe(name: str) -> dict[str, Any]:
        (phase,) = place.competition.describe(place.competition.find(name))["phases"]
        return dict(phase)

    for name, closes in (("before", now() - HOUR), ("lake", now() + HOUR), ("last", now() - HOUR)):
        phases = f'[[phases]]\nname = "public"\ncloses = {closes.isoformat()}\n'
        place.competition.define(LAKE.replace("lake", name) + phases, owner_id=None)
    assert describe("before")["key"] is not None and describe("last")["key"] is not None
    place.record = place.competition.find("lake")
    assert describe("lake")["key"] is None and place.begin().key_generation == 0
