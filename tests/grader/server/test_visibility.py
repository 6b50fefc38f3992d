"""A submission is visible to its account, team and organiser, and to everybody once its phase is over."""

import datetime
from pathlib import Path

import pytest

from gymserve.accounts.identity import Identity
from gymserve.environments import Catalogue
from gymserve.grader.server.boards import leaderboard
from gymserve.grader.server.boards.leaderboard import Leaderboard
from gymserve.grader.server.reports.outbox import Outbox
from gymserve.grader.server.submissions.judging import Judge
from gymserve.grader.server.submissions.visibility import Visibility
from gymserve.protocol import errors
from gymserve.store import Database
from gymserve.store.models import Submission
from tests.grader.server.test_teams import TOML, Place


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Place:
    """A challenge whose first two accounts are a team."""
    place = Place(database, tmp_path)
    place.teams.create(place.record, place.accounts[0], "Poles")
    place.teams.join(place.record, place.accounts[1], place.teams.invite(place.record, place.accounts[0]))
    return place


@pytest.fixture
def visibility(place: Place, tmp_path: Path) -> Visibility:
    judge = Judge(place.database, place.competition, Catalogue([]), tmp_path, Outbox(place.database, None, tmp_path))
    return Visibility(place.database, place.competition, judge)


def submit(place: Place, phase: str) -> Submission:
    place.submit(0, phase)
    with place.database.reading() as session:
        return session.query(Submission).filter_by(phase=phase).one()


def people(place: Place) -> list[Identity | None]:
    """The owner, a team mate, a stranger, an anonymous caller, the organiser, another organiser and an administrator."""
    who: list[Identity | None] = [Identity(account, "", "participant") for account in place.accounts]
    roles = ((place.accounts[2], "organiser"), (place.accounts[2] + 1, "organiser"), (0, "admin"))
    return [*who, None, *(Identity(account, "", role) for account, role in roles)]


def test_only_team_and_organiser_see_a_submission_while_its_phase_is_open(place: Place, visibility: Visibility) -> None:
    record, row = place.record._replace(owner_id=place.accounts[2]), submit(place, "open")
    expected = [True, True, False, False, True, False, True]
    assert [visibility.may_follow(record, row, who) for who in people(place)] == expected
    assert [visibility.may_see(record, row, who) for who in people(place)] == expected
    links = [visibility.entrants(record, place.phase("open"), who)("team:Poles") for who in people(place)]
    assert links == expected


def test_everybody_sees_submissions_of_a_phase_with_public_seeds(place: Place, visibility: Visibility) -> None:
    record, row = place.record, submit(place, "try")
    assert all(visibility.may_see(record, row, who) for who in people(place))
    assert not visibility.may_follow(record, row, None)
    assert all(visibility.entrants(record, place.phase("try"), who)("team:Poles") for who in people(place))


def test_a_hidden_leaderboard_is_visible_from_its_date_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    until = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    hidden = TOML.replace("ranking = {", f"ranking = {{ hidden_until = {until.isoformat()},")
    record, boards = place.competition.define(hidden, owner_id=None), Leaderboard(place.database, place.competition)
    monkeypatch.setattr(leaderboard, "now", lambda: until)
    assert boards.of(record, "open").rows() == []
    monkeypatch.setattr(leaderboard, "now", lambda: until - datetime.timedelta(seconds=1))
    assert boards.of(record, "open", sees_hidden=True).rows() == []
    with pytest.raises(errors.Conflict, match="hidden until 2030-01-01"):
        boards.of(record, "open")
