"""Teams, practice phases and finals, on each kind of database."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from gymserve.accounts.directory import checked_email
from gymserve.grader.challenges import seeds
from gymserve.grader.challenges.challenge import Phase
from gymserve.grader.server.competitions.competition import ChallengeRecord, Competition
from gymserve.grader.server.competitions.teams import Entrant, Teams, entrant_of
from gymserve.grader.server.submissions import limits
from gymserve.protocol import errors
from gymserve.store import Database
from gymserve.store.models import Account, Submission, now

TOML = """name = "cart"
environment = "CartPole-v1"
trials = { number = 2 }
scoring = { worst = 0 }
limits = { submissions = 3, concurrent = 5 }
ranking = { qualifying_score = 100 }
teams = { allowed = true, most_members = 2 }
[[phases]]
name = "try"
kind = "practice"
[[phases]]
name = "open"
[[phases]]
name = "last"
kind = "final"
"""


class Place:
    """A challenge with teams, and three accounts."""

    def __init__(self, database: Database, data: Path) -> None:
        self.database, self.teams, self.competition = database, Teams(database), Competition(database, data)
        self.record: ChallengeRecord = self.competition.define(TOML, owner_id=None)
        self.accounts = []
        for name in ("ann", "bob", "cid"):
            account = Account(email=name, email_key=name, password_hash="", role="participant")
            with database.writing() as session:
                session.add(account)
            self.accounts.append(account.id)

    def phase(self, name: str) -> Phase:
        return self.record.challenge.phase(name)

    def entrant(self, session: Session, who: int) -> Entrant:
        return entrant_of(session, self.record, self.accounts[who], f"account {who}")

    def submit(self, who: int, phase: str = "open", state: str = "graded", score: float = 1.0) -> None:
        """Adds a row as if a submission had been charged and judged."""
        with self.database.writing() as session:
            entrant = self.entrant(session, who)
            limits.left(session, self.record, self.phase(phase), entrant)
            row: dict[str, Any] = {"state": state, "score": score, "finished_at": now()}
            session.add(
                Submission(
                    name=f"{len(session.query(Submission).all())}x", challenge_id=self.record.id, phase=phase,
                    version_id=self.record.version_id, account_id=self.accounts[who], entrant=entrant.name, **row,
                )
            )  # fmt: skip


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Place:
    return Place(database, tmp_path)


def test_creating_joining_and_leaving_a_team(place: Place) -> None:
    ann, bob, cid = place.accounts
    assert place.teams.create(place.record, ann, " Poles ")[:3] == ("Poles", "team:Poles", ["account 1"])
    code = place.teams.invite(place.record, ann)
    assert place.teams.join(place.record, bob, code).members == ["account 1", "account 2"]
    with pytest.raises(errors.Conflict, match="2 members"):
        place.teams.join(place.record, cid, code)
    with pytest.raises(errors.Conflict, match="in a team"):
        place.teams.create(place.record, bob, "other")
    with pytest.raises(errors.Conflict, match="another name"):
        place.teams.create(place.record, cid, "pOLEs")
    place.teams.leave(place.record, bob)
    assert place.teams.of(place.record, ann).members == ["account 1"]
    place.teams.leave(place.record, ann)
    for ended in (lambda: place.teams.of(place.record, ann), lambda: place.teams.join(place.record, cid, code)):
        with pytest.raises(errors.NotFound):
            ended()
    assert place.teams.create(place.record, cid, "poles").members == ["account 3"]  # the name is available again


def test_a_new_code_replaces_the_earlier_one(place: Place) -> None:
    ann, bob, _ = place.accounts
    place.teams.create(place.record, ann, "Poles")
    old, new = place.teams.invite(place.record, ann), place.teams.invite(place.record, ann)
    with pytest.raises(errors.NotFound, match="code"):
        place.teams.join(place.record, bob, old)
    with pytest.raises(errors.NotFound):
        place.teams.join(place.record, bob, "")
    assert len(place.teams.join(place.record, bob, new).members) == 2


@pytest.mark.guarantee("several accounts make a team")
def test_a_team_shares_limits_and_its_members_earlier_submissions_count(place: Place) -> None:
    ann, bob, _ = place.accounts
    place.submit(0)  # alone, before the team exists
    place.teams.create(place.record, ann, "Poles")
    place.teams.join(place.record, bob, place.teams.invite(place.record, ann))
    place.submit(1)
    place.submit(0)
    for who in (0, 1):
        with pytest.raises(errors.LimitReached, match="all of your 3"):
            place.submit(who)
    place.submit(2)
    assert place.teams.of(place.record, ann).fixed
    with pytest.raises(errors.Conflict, match="fixed"):
        place.teams.leave(place.record, bob)


def test_only_its_own_submissions_fix_a_team(place: Place) -> None:
    place.submit(2)
    assert not place.teams.create(place.record, place.accounts[0], "Poles").fixed
    place.teams.leave(place.record, place.accounts[0])
    place.teams.create(place.record, place.accounts[0], "Poles")
    place.submit(0)
    assert place.teams.of(place.record, place.accounts[0]).fixed


def test_a_team_of_the_same_name_in_another_challenge_fixes_no_team(place: Place) -> None:
    other, last = (place.competition.define(TOML.replace("cart", name), owner_id=None) for name in ("other", "last"))
    records = (place.record, other, last)
    for record in records:
        place.teams.create(record, place.accounts[0], "Poles")
    place.record = other
    place.submit(0)
    assert [place.teams.of(record, place.accounts[0]).fixed for record in records] == [False, True, False]


@pytest.mark.parametrize("name", ["ＴEAM:Poles", "Participant 5"])
def test_no_account_may_have_a_name_like_another_entrants(name: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="must not begin with"):
        checked_email(name)


def test_a_challenge_without_teams_refuses_them(place: Place) -> None:
    place.record = place.competition.define(TOML.replace("allowed = true", "allowed = false"), owner_id=None)
    with pytest.raises(errors.Conflict, match="has no teams"):
        place.teams.create(place.record, place.accounts[0], "Poles")


def test_practice_uses_up_no_submissions(place: Place) -> None:
    for _ in range(4):
        place.submit(0, "try")
    for _ in range(3):
        place.submit(0)
    with pytest.raises(errors.LimitReached):
        place.submit(0)
    place.submit(0, "try")


def test_practice_is_limited_by_concurrent_submissions(place: Place) -> None:
    for _ in range(5):
        place.submit(0, "try", state="running")
    with pytest.raises(errors.LimitReached, match="under way"):
        place.submit(0, "try", state="running")


def test_a_final_phase_needs_a_qualifying_score(place: Place) -> None:
    place.submit(0, "try", score=500.0)  # practice does not qualify
    place.submit(1, "open", score=99.0)
    place.submit(2, "open", score=100.0)
    for who in (0, 1):
        with pytest.raises(errors.Forbidden, match="at least 100"):
            place.submit(who, "last")
    place.submit(2, "last")


def test_a_failed_submission_qualifies_nobody(place: Place) -> None:
    place.submit(0, "open", state="failed", score=500.0)
    with pytest.raises(errors.Forbidden):
        place.submit(0, "last")


def test_practice_seeds_are_public_and_those_of_a_local_run(place: Place) -> None:
    challenge = place.record.challenge
    key = place.competition.phase_key(challenge, "try")
    assert seeds.plan(challenge, "try", key, "any") == seeds.practice_plan(challenge, 2)
    phases = {phase["name"]: phase for phase in place.competition.describe(place.record)["phases"]}
    assert bytes.fromhex(phases["try"]["key"]) == key
    assert phases["open"]["key"] is None and phases["last"]["key"] is None
    secret = place.competition.phase_key(challenge, "open")
    assert key != secret and seeds.plan(challenge, "open", secret) != seeds.practice_plan(challenge, 2)


def test_a_phase_that_becomes_practice_does_not_reveal_its_earlier_seeds(place: Place) -> None:
    before = place.competition.phase_key(place.record.challenge, "open")
    record = place.competition.define(TOML.replace('name = "open"', 'name = "open"\nkind = "practice"'), owner_id=None)
    (phase,) = (phase for phase in place.competition.describe(record)["phases"] if phase["name"] == "open")
    assert phase["key"] != before.hex() and phase["commitment"] != seeds.commitment(before)
