"""Limits of submissions: how many are left today, when the next one may begin, and who may enter the final phase."""

import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from gymserve.grader.server.competitions.competition import ChallengeRecord, Competition
from gymserve.grader.server.competitions.teams import entrant_of
from gymserve.grader.server.submissions import limits
from gymserve.protocol import errors
from gymserve.store import Database
from gymserve.store.models import Submission, now

TOML = """name = "cart"
environment = "CartPole-v1"
scoring = { worst = 0 }
"""
HOUR = datetime.timedelta(hours=1)


class Place:
    """Challenges with submissions of an entrant, whose numbers and ages a test chooses."""

    def __init__(self, database: Database, data: Path) -> None:
        self.database, self.competition = database, Competition(database, data)

    def define(self, more: str, name: str = "cart") -> ChallengeRecord:
        return self.competition.define(TOML.replace("cart", name) + more, owner_id=None)

    def left(self, record: ChallengeRecord, phase: str = "public") -> int | None:
        with self.database.reading() as session:
            entrant = entrant_of(session, record, None, "a")
            return limits.left(session, record, record.challenge.phase(phase), entrant)

    def add(self, record: ChallengeRecord, *, hours: float = 0.0, state: str = "graded", **more: Any) -> None:
        """Adds a submission that began some hours ago."""
        with self.database.writing() as session:
            number = session.query(Submission).count()
            row: dict[str, Any] = {"phase": "public", "score": 1.0, **more}
            session.add(
                Submission(
                    name=f"s{number}",
                    challenge_id=record.id,
                    version_id=record.version_id,
                    entrant="a",
                    state=state,
                    **row,
                )
            )
            session.flush()
            began = update(Submission).where(Submission.name == f"s{number}")
            session.execute(began.values(created_at=now() - hours * HOUR))


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Place:
    return Place(database, tmp_path)


def test_the_submissions_left_today_are_those_of_the_last_24_hours(place: Place) -> None:
    record = place.define("limits = { submissions_per_day = 5 }")
    assert place.left(record) == 4
    place.add(record, hours=25)
    assert place.left(record) == 4
    for left in (3, 2, 1, 0):
        place.add(record, hours=left)
        assert place.left(record) == left
    place.add(record, hours=6)
    with pytest.raises(errors.TooFast, match=r"already made 5 submissions in the last 24 hours.* (17:59|18:00):\d\d$"):
        place.left(record)


@pytest.mark.parametrize(("allowed", "hours"), [(3, 14), (2, 19), (1, 22)])
def test_the_next_submission_may_begin_when_one_of_those_made_is_a_day_old(
    place: Place, allowed: int, hours: int
) -> None:
    """The organiser may have lowered the limit below the number of those made."""
    record = place.define(f"limits = {{ submissions_per_day = {allowed} }}")
    for age in (5, 2, 10):
        place.add(record, hours=age)
    with pytest.raises(errors.TooFast, match="already made 3 submissions") as error:
        place.left(record)
    assert error.value.retry_after == pytest.approx(hours * 3600, abs=60)


@pytest.mark.parametrize("limited", ["submissions", "concurrent", "submissions_per_day"])
def test_submissions_in_other_challenges_do_not_count(place: Place, limited: str) -> None:
    more = f"limits = {{ {limited} = 1 }}"
    before, record, after = (place.define(more, name) for name in ("before", "cart", "after"))
    for other in (before, after):
        place.add(other, state="running")
    assert place.left(record) in (0, None)
    place.add(record, state="running")
    with pytest.raises(errors.LimitReached):
        place.left(record)


def test_a_lower_score_qualifies_where_lower_is_better(place: Place) -> None:
    phases = '[[phases]]\nname = "public"\n[[phases]]\nname = "last"\nkind = "final"\n'
    lower = TOML.replace("worst = 0", 'worst = 0, better = "lower"') + "ranking = { qualifying_score = 10 }\n" + phases
    record = place.competition.define(lower, owner_id=None)
    place.add(record, score=10.5)
    with pytest.raises(errors.Forbidden, match="at most 10"):
        place.left(record, "last")
    place.add(record, score=9.5)
    assert place.left(record, "last") is None
