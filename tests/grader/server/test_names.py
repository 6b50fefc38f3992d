"""Rows of leaderboards belong to accounts by id and show the names that accounts choose, on each kind of database."""

from pathlib import Path

import pytest
from alembic import command, config
from sqlalchemy import Engine, column, insert, table, text

from gymserve.accounts.audit import Actor
from gymserve.accounts.directory import Directory
from gymserve.accounts.passwords import Passwords
from gymserve.accounts.revision import Revision
from gymserve.grader.server.boards.leaderboard import Leaderboard, to_csv
from gymserve.protocol.errors import InvalidRequest
from gymserve.store import connect
from gymserve.store.models import Account, TableModel, now
from gymserve.store.schema import MIGRATIONS
from tests.grader.server.place import Place

BY = Actor(None, "test")


class BoardFixture:
    """The leaderboard of a challenge that accounts submit to."""

    def __init__(self, place: Place, data: Path) -> None:
        self.place = place
        self.directory = Directory(place.database, Passwords(min_length=6), Revision(data / "revision"))
        self.leaderboard = Leaderboard(place.database, place.competition)

    def account(self, email: str) -> Account:
        return self.directory.create(email, "long enough", by=BY)

    def submit(self, account: Account) -> None:
        submissions = self.place.submissions
        row, _ = submissions.submit(self.place.record, account_id=account.id, entrant=account.email)
        self.place.play(row)
        submissions.judge.verify(submissions.finish(row))

    def rows(self) -> list[tuple[str, str, int]]:
        _, rows = self.leaderboard.rows(self.leaderboard.of(self.place.record))
        return sorted((row.entrant, row.entrant_id, row.tries) for row in rows)


@pytest.fixture
def board(place: Place, tmp_path: Path) -> BoardFixture:
    return BoardFixture(place, tmp_path)


def test_rows_follow_an_account_through_changes_of_its_names(board: BoardFixture) -> None:
    ann = board.account("ann@example.org")
    board.submit(ann)
    key = f"account {ann.id}"
    assert board.rows() == [(key, key, 1)]
    tag, _ = board.leaderboard.rows(board.leaderboard.of(board.place.record))
    board.directory.change(ann.id, email="ann@elsewhere.org", name="Ann", by=BY)
    board.submit(board.directory.find(ann.id))
    assert board.rows() == [("Ann", key, 2)]
    board.directory.change(ann.id, name="Änn", by=BY)
    assert board.rows() == [("Änn", key, 2)]
    changed, rows = board.leaderboard.rows(board.leaderboard.of(board.place.record))
    assert changed != tag and "example.org" not in to_csv(rows) and "elsewhere.org" not in to_csv(rows)
    for name in ("Änn", "änn", key):
        name_shown, _, history = board.leaderboard.history(board.place.record, name)
        assert name_shown == "Änn" and len(history) == 2
    assert board.leaderboard.history(board.place.record, "ann@example.org")[2] == []
    board.directory.change(ann.id, name="", by=BY)
    assert board.rows() == [(key, key, 2)]


@pytest.mark.guarantee("an account changes its address, or is deleted and another one takes the address")
def test_reusing_a_deleted_accounts_address_gives_none_of_its_rows(board: BoardFixture) -> None:
    first = board.account("ann@example.org")
    board.submit(first)
    board.directory.remove(first.id, by=BY)
    second = board.account("ann@example.org")
    board.directory.change(second.id, name="Ann", by=BY)
    board.submit(second)
    assert board.rows() == [("Ann", f"account {second.id}", 1), (f"account {first.id}", f"account {first.id}", 1)]
    record, submissions = board.place.record, board.place.submissions
    assert [row.account_id for row in submissions.list(record, account_id=second.id)] == [second.id]


def test_a_receipt_has_the_accounts_id_and_name(board: BoardFixture) -> None:
    ann = board.account("ann@example.org")
    board.directory.change(ann.id, name="Ann", by=BY)
    board.submit(ann)
    (row,) = board.place.submissions.list(board.place.record)
    assert f'"account":"account {ann.id}"' in row.receipt and '"name":"Ann"' in row.receipt
    assert "example.org" not in row.receipt


@pytest.mark.parametrize("name", ["account 7", "ＡCCOUNT 7", "team:x", "participant 3", "a\n", " a", "x" * 61, "ANN"])
def test_a_taken_or_invalid_name_is_refused(board: BoardFixture, name: str) -> None:
    ann, bob = board.account("ann"), board.account("bob")
    board.directory.change(ann.id, name="Ann", by=BY)
    with pytest.raises(InvalidRequest, match="name"):
        board.directory.change(bob.id, name=name, by=BY)
    assert board.directory.find(bob.id).display_name == f"account {bob.id}"


def migrate(engine: Engine, version: str) -> None:
    settings = config.Config()
    settings.set_main_option("script_location", str(MIGRATIONS))
    settings.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, version)


def test_the_migration_stores_old_rows_under_account_ids(database_url: str, tmp_path: Path) -> None:
    database = connect(database_url, tmp_path)
    migrate(database.engine, "0008")
    then = now()
    owned = [(5, "ann@example.org"), (5, "team:Poles"), (None, "gone@example.org"), (None, "participant 3")]
    account = {"email": "ann@example.org", "email_key": "", "password_hash": "", "role": "", "is_active": True}
    removed = {
        "actor": "",
        "action": "account removed",
        "subject": "3 gone@example.org",
        "address": "",
        "request_id": "",
    }
    submission = {
        "challenge_id": 1, "version_id": 1, "phase": "", "key_generation": 0, "state": "", "reason": "", "counts": True,
        "steps": 0, "trials": "", "verdict": "", "verdict_reason": "", "receipt": "", "left": True, "changed_at": then,
    }  # fmt: skip
    tables = TableModel.metadata.tables
    with database.engine.begin() as connection:
        for name, values in (
            ("accounts", {"id": 5, "generation": 0, "projects_made": 0, "created_at": then, **account}),
            ("audit", {"at": then, **removed}),
            ("challenges", {"id": 1, "name": "c", "version_id": 1, "is_open": True, "changed_at": then}),
            ("challenge_versions", {"id": 1, "challenge_id": 1, "digest": "", "definition": "", "created_at": then}),
            *(
                (
                    "submissions",
                    {"name": entrant, "account_id": number, "entrant": entrant, "created_at": then, **submission},
                )
                for number, entrant in owned
            ),
        ):
            connection.execute(
                insert(table(name, *(column(each, tables[name].c[each].type) for each in values))), values
            )
    migrate(database.engine, "head")
    with database.engine.connect() as connection:
        kept = [entrant for (entrant,) in connection.execute(text("SELECT entrant FROM submissions ORDER BY id"))]
    assert kept == ["account 5", "team:Poles", "account 3", "participant 3"]
    database.close()
