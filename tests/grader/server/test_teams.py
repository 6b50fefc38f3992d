"""Teams, practice phases and finals, on each kind of database."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from grader.challenges import seeds
from grader.challenges.challenge import Phase
from grader.server.competitions.competition import Competition, Held
from grader.server.competitions.teams import Entrant, Teams, entrant_of
from grader.server.submissions import limits
from gymserve.accounts.directory import checked_email
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
    def __init__(self, database: Database, data: Path) -> None:
        self.database, self.teams, self.competition = database, Teams(database), Competition(database, data)
        self.held: Held = self.competition.define(TOML, owner_id=None)
        self.accounts = []
        for name in ("ann", "bob", "cid"):
            account = Account(email=name, email_key=name, password_hash="", role="participant")
            with database.writing() as session:
                session.add(account)
            self.accounts.append(account.id)

    def phase(self, name: str) -> Phase:
        return self.held.challenge.phase(name)

    def entrant(self, session: Session, who: int) -> Entrant:
        return entrant_of(session, self.held, self.accounts[who], f"account {who}")

    def submit(self, who: int, phase: str = "open", state: str = "graded", score: float = 1.0) -> None:
        """What a charge and a judge leave behind."""
        with self.database.writing() as session:
            entrant = self.entrant(session, who)
            limits.left(session, self.held, self.phase(phase), entrant)
            row: dict[str, Any] = {"state": state, "score": score, "finished_at": now()}
            session.add(
                Submission(
                    name=f"{len(session.query(Submission).all())}x", challenge_id=self.held.id, phase=phase,
                    version_id=self.held.version_id, account_id=self.accounts[who], entrant=entrant.name, **row,
                )
            )  # fmt: skip


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Place:
    return Place(database, tmp_path)


def test_a_team_is_made_joined_and_left(place: Place) -> None:
    ann, bob, cid = place.accounts
    assert place.teams.create(place.held, ann, " Poles ")[:3] == ("Poles", "team:Poles", ["account 1"])
    code = place.teams.invite(place.held, ann)
    assert place.teams.join(place.held, bob, code).members == ["account 1", "account 2"]
    with pytest.raises(errors.Conflict, match="2 members"):
        place.teams.join(place.held, cid, code)
    with pytest.raises(errors.Conflict, match="in a team"):
        place.teams.create(place.held, bob, "other")
    with pytest.raises(errors.Conflict, match="another name"):
        place.teams.create(place.held, cid, "pOLEs")
    place.teams.leave(place.held, bob)
    assert place.teams.of(place.held, ann).members == ["account 1"]
    place.teams.leave(place.held, ann)
    for ended in (lambda: place.teams.of(place.held, ann), lambda: place.teams.join(place.held, cid, code)):
        with pytest.raises(errors.NotFound):
            ended()
    assert place.teams.create(place.held, cid, "poles").members == ["account 3"]  # the name is free again


def test_a_new_code_voids_the_one_before(place: Place) -> None:
    ann, bob, _ = place.accounts
    place.teams.create(place.held, ann, "Poles")
    old, new = place.teams.invite(place.held, ann), place.teams.invite(place.held, ann)
    with pytest.raises(errors.NotFound, match="code"):
        place.teams.join(place.held, bob, old)
    with pytest.raises(errors.NotFound):
        place.teams.join(place.held, bob, "")
    assert len(place.teams.join(place.held, bob, new).members) == 2


@pytest.mark.guarantee("several accounts make a team")
def test_a_team_shares_the_limits_and_what_its_members_used_up_alone(place: Place) -> None:
    ann, bob, _ = place.accounts
    place.submit(0)  # alone, before there is a team
    place.teams.create(place.held, ann, "Poles")
    place.teams.join(place.held, bob, place.teams.invite(place.held, ann))
    place.submit(1)
    place.submit(0)
    for who in (0, 1):
        with pytest.raises(errors.LimitReached, match="all of your 3"):
            place.submit(who)
    place.submit(2)
    assert place.teams.of(place.held, ann).fixed
    with pytest.raises(errors.Conflict, match="fixed"):
        place.teams.leave(place.held, bob)


def test_a_team_is_fixed_by_its_own_submissions_alone(place: Place) -> None:
    place.submit(2)
    assert not place.teams.create(place.held, place.accounts[0], "Poles").fixed
    place.teams.leave(place.held, place.accounts[0])
    place.teams.create(place.held, place.accounts[0], "Poles")
    place.submit(0)
    assert place.teams.of(place.held, place.accounts[0]).fixed


@pytest.mark.parametrize("name", ["ＴEAM:Poles", "Participant 5"])
def test_no_account_is_called_like_another_entrant(name: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="must not begin with"):
        checked_email(name)


def test_a_challenge_without_teams_has_none(place: Place) -> None:
    place.held = place.competition.define(TOML.replace("allowed = true", "allowed = false"), owner_id=None)
    with pytest.raises(errors.Conflict, match="without teams"):
        place.teams.create(place.held, place.accounts[0], "Poles")


def test_practice_uses_up_no_submissions(place: Place) -> None:
    for _ in range(4):
        place.submit(0, "try")
    for _ in range(3):
        place.submit(0)
    with pytest.raises(errors.LimitReached):
        place.submit(0)
    place.submit(0, "try")


def test_practice_is_bounded_by_what_goes_on_at_once(place: Place) -> None:
    for _ in range(5):
        place.submit(0, "try", state="running")
    with pytest.raises(errors.LimitReached, match="under way"):
        place.submit(0, "try", state="running")


def test_a_final_is_for_those_who_qualified(place: Place) -> None:
    place.submit(0, "try", score=500.0)  # practice shows nothing
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


def test_practice_seeds_are_those_of_a_run_at_home_and_no_secret(place: Place) -> None:
    challenge = place.held.challenge
    key = place.competition.phase_key(challenge, "try")
    assert seeds.plan(challenge, "try", key, "any") == seeds.practice_plan(challenge, 2)
    phases = {phase["name"]: phase for phase in place.competition.describe(place.held)["phases"]}
    assert bytes.fromhex(phases["try"]["key"]) == key
    assert phases["open"]["key"] is None and phases["last"]["key"] is None
    secret = place.competition.phase_key(challenge, "open")
    assert key != secret and seeds.plan(challenge, "open", secret) != seeds.practice_plan(challenge, 2)


def test_a_phase_that_becomes_a_practice_does_not_tell_the_seeds_that_it_had(place: Place) -> None:
    before = place.competition.phase_key(place.held.challenge, "open")
    held = place.competition.define(TOML.replace('name = "open"', 'name = "open"\nkind = "practice"'), owner_id=None)
    (told,) = (phase for phase in place.competition.describe(held)["phases"] if phase["name"] == "open")
    assert told["key"] != before.hex() and told["commitment"] != seeds.commitment(before)
