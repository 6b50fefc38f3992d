"""A submission is its account's, its team's and its organiser's to see; everybody's once its phase is over."""

from pathlib import Path

import pytest

from grader.server.reports.outbox import Outbox
from grader.server.submissions.judging import Judge
from grader.server.submissions.visibility import Visibility
from gymserve.accounts.identity import Identity
from gymserve.environments import Catalogue
from gymserve.store import Database
from gymserve.store.models import Submission
from tests.grader.server.test_teams import Place


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Place:
    """Its first two accounts are a team."""
    place = Place(database, tmp_path)
    place.teams.create(place.held, place.accounts[0], "Poles")
    place.teams.join(place.held, place.accounts[1], place.teams.invite(place.held, place.accounts[0]))
    return place


@pytest.fixture
def visibility(place: Place, tmp_path: Path) -> Visibility:
    judge = Judge(place.database, place.competition, Catalogue([]), tmp_path, Outbox(place.database, None, tmp_path))
    return Visibility(place.database, place.competition, judge)


def submitted(place: Place, phase: str) -> Submission:
    place.submit(0, phase)
    with place.database.reading() as session:
        return session.query(Submission).filter_by(phase=phase).one()


def people(place: Place) -> list[Identity | None]:
    """Owner, team mate, stranger, nobody; the challenge's organiser, another organiser, an administrator."""
    who: list[Identity | None] = [Identity(account, "", "participant") for account in place.accounts]
    roles = ((place.accounts[2], "organiser"), (place.accounts[2] + 1, "organiser"), (0, "admin"))
    return [*who, None, *(Identity(account, "", role) for account, role in roles)]


def test_submission_is_for_its_team_and_its_organiser_while_its_phase_goes_on(
    place: Place, visibility: Visibility
) -> None:
    held, row = place.held._replace(owner_id=place.accounts[2]), submitted(place, "open")
    expected = [True, True, False, False, True, False, True]
    assert [visibility.may_follow(held, row, who) for who in people(place)] == expected
    assert [visibility.may_see(held, row, who) for who in people(place)] == expected
    links = [visibility.entrants(held, place.phase("open"), who)("team:Poles") for who in people(place)]
    assert links == expected


def test_page_of_a_phase_whose_seeds_are_known_is_for_everybody(place: Place, visibility: Visibility) -> None:
    held, row = place.held, submitted(place, "try")
    assert all(visibility.may_see(held, row, who) for who in people(place))
    assert not visibility.may_follow(held, row, None)
    assert all(visibility.entrants(held, place.phase("try"), who)("team:Poles") for who in people(place))
