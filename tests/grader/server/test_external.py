"""External graders' submissions: entered once, ended once, and known to their own grader only."""

from pathlib import Path

import pytest

from gymserve.accounts.identity import Identity
from gymserve.grader.server.boards.challenge_server import EmbeddedServer, StatusUpdate
from gymserve.grader.server.competitions.competition import Competition
from gymserve.protocol.errors import InvalidRequest, NotFound
from gymserve.store import Database
from gymserve.store.models import Account, Submission

TOML = 'name = "cart"\nenvironment = "CartPole-v1"\n[scoring]\nworst = 0\n'
SUBMITTED = StatusUpdate("submitted")


class Home:
    """A challenge server with a challenge, its organiser's grader, another grader and a participant."""

    def __init__(self, database: Database, data: Path) -> None:
        self.database, competition = database, Competition(database, data)
        self.embedded = EmbeddedServer(database, competition)
        names = {"organiser": "organiser", "admin": "admin", "ann": "participant"}
        rows = [Account(email=name, email_key=name, password_hash="-", role=role) for name, role in names.items()]
        with database.writing() as session:
            session.add_all(rows)
        self.grader, self.other, self.ann = (Identity(row.id, row.email, row.role) for row in rows)
        competition.define(TOML, owner_id=self.grader.account_id)

    def enter(self, mark: str = "") -> int:
        update = StatusUpdate("submitted", meta={"submission": mark} if mark else {})
        return self.embedded.enter(self.grader, self.ann, "cart", update)[0].id

    def update(
        self, number: int, status: str, score: float | None = None, secondary: float | None = None
    ) -> Submission:
        update = StatusUpdate(status, score, secondary, "it crashed" if status == "failed" else "")
        return self.embedded.update(self.grader, str(number), update)

    def listed(self, status: str | None = None, mark: str | None = None) -> list[int]:
        return [row["id"] for row in self.embedded.list(self.grader, "cart", status=status, mark=mark)]


@pytest.fixture
def home(database: Database, tmp_path: Path) -> Home:
    return Home(database, tmp_path)


def test_repeating_an_entry_makes_no_second_submission(home: Home) -> None:
    assert home.enter("x") == home.enter("x") != home.enter("y")
    assert home.enter() != home.enter()


def test_a_grader_finds_its_submissions_by_status_and_mark(home: Home) -> None:
    one, two, three = home.enter("x"), home.enter("y"), home.enter()
    home.update(two, "graded", score=1.0)
    assert home.listed() == [three, two, one]
    assert (home.listed(mark="x"), home.listed(mark="none")) == ([one], [])
    assert (home.listed("graded"), home.listed("submitted")) == ([two], [three, one])
    assert home.listed("graded", "x") == []


@pytest.mark.parametrize(
    ("status", "same", "others"),
    [
        ("graded", {"score": 2.0, "secondary": 1.0}, [("graded", {"score": 3.0, "secondary": 1.0}), ("failed", {})]),
        ("failed", {}, [("graded", {"score": 2.0}), ("submitted", {})]),
    ],
)
def test_an_outcome_may_be_repeated_but_not_changed(
    home: Home, status: str, same: dict[str, float], others: list[tuple[str, dict[str, float]]]
) -> None:
    number = home.enter()
    assert home.update(number, status, **same).state == home.update(number, status, **same).state == status
    for other, values in others:
        with pytest.raises(InvalidRequest, match=f"already {status}"):
            home.update(number, other, **values)
    shown = home.embedded.show(home.grader, str(number))
    assert (shown["grading_status_cd"], shown["score"], shown["score_secondary"]) == (
        status, same.get("score"), same.get("secondary"),
    )  # fmt: skip


def test_another_grader_has_no_access_to_a_submission(home: Home) -> None:
    number = home.enter()
    for grader, name in ((home.other, str(number)), (home.grader, "0"), (home.grader, "x"), (home.grader, "9" * 30)):
        with pytest.raises(InvalidRequest, match="Submission ID is invalid"):
            home.embedded.update(grader, name, SUBMITTED)
        with pytest.raises(NotFound):
            home.embedded.show(grader, name)
    assert home.embedded.list(home.other, "cart", status=None, mark=None) == []
