"""Accounts: made, changed, removed; and the audit log of it."""

import pytest

from gymserve.accounts import Accounts, audit
from gymserve.accounts.audit import COMMAND_LINE, Actor
from gymserve.errors import Conflict, InvalidRequest, NotFound

BY = Actor(7, "somebody", "192.0.2.1", "r-1")


def test_an_account_is_made_once(accounts: Accounts) -> None:
    made = accounts.directory.create("tju_rl.tju.edu.cn", "tju_rl")
    assert (made.id, made.role, made.is_active) == (1, "participant", True)
    assert "tju_rl" not in made.password_hash and made.password_hash.startswith("$argon2id$")
    for same in ("tju_rl.tju.edu.cn", "TJU_RL.tju.edu.cn", "ｔju_rl.tju.edu.cn"):
        with pytest.raises(InvalidRequest, match="Email already registered"):
            accounts.directory.create(same, "another password")
    assert [account.email for account in accounts.directory.list()] == ["tju_rl.tju.edu.cn"]


@pytest.mark.parametrize("email", ["", " ", None, 3, "a\n", " a", "a\0b", "x" * 255, "\ud800", ["a"]])
def test_a_bad_email_is_refused(on_sqlite: Accounts, email: object) -> None:
    with pytest.raises(InvalidRequest, match="email"):
        on_sqlite.directory.create(email, "long enough")


@pytest.mark.parametrize("password", ["", "short", "x" * 1025, None, 12345678, ["long enough"]])
def test_a_bad_password_is_refused(on_sqlite: Accounts, password: object) -> None:
    with pytest.raises(InvalidRequest, match="password must be a string of 6 to 1024 characters") as refused:
        on_sqlite.directory.create("a", password)
    assert not password or str(password) not in str(refused.value)


def test_what_is_changed_is_noted(accounts: Accounts) -> None:
    admin = accounts.directory.create("admin", "long enough", role="admin", by=COMMAND_LINE)
    made = accounts.directory.create("a", "long enough", by=BY)
    changed = accounts.directory.change(made.id, email="b", role="organiser", password="still longer", by=BY)
    assert (changed.email, changed.role, changed.generation) == ("b", "organiser", 1)
    assert accounts.directory.named("A") is None
    assert accounts.directory.find(made.id).email == "b"
    with pytest.raises(InvalidRequest, match="role must be one of"):
        accounts.directory.change(made.id, role="king", by=BY)
    with pytest.raises(InvalidRequest, match="registered"):
        accounts.directory.change(made.id, email="ADMIN", by=BY)
    accounts.directory.remove(made.id, by=BY)
    with pytest.raises(NotFound):
        accounts.directory.find(made.id)

    newest, *_, oldest = audit.entries(accounts.database)
    assert (oldest.actor, oldest.action) == ("command line", "account created")
    assert (newest.action, newest.account_id, newest.address, newest.request_id) == (
        "account removed", 7, "192.0.2.1", "r-1",
    )  # fmt: skip
    told = [entry.subject for entry in audit.entries(accounts.database, account_id=7)]
    assert f"{made.id} b: email, password, role organiser" in told
    assert not any("long" in subject for subject in told)
    assert admin.id not in {entry.account_id for entry in audit.entries(accounts.database)}


def test_the_last_administrator_stays(accounts: Accounts) -> None:
    first = accounts.directory.create("first", "long enough", role="admin")
    for change in ({"role": "organiser"}, {"is_active": False}):
        with pytest.raises(Conflict, match="last administrator"):
            accounts.directory.change(first.id, by=BY, **change)  # type: ignore[arg-type]
    with pytest.raises(Conflict, match="last administrator"):
        accounts.directory.remove(first.id, by=BY)
    accounts.directory.create("second", "long enough", role="admin")
    accounts.directory.remove(first.id, by=BY)


def test_an_invitation_makes_one_administrator(accounts: Accounts) -> None:
    void = accounts.directory.invite_administrator()
    secret = accounts.directory.invite_administrator()
    assert void is not None and secret is not None
    with pytest.raises(NotFound):
        accounts.directory.accept(void, "a", "long enough")
    with pytest.raises(InvalidRequest):
        accounts.directory.accept(secret, "a", "short")
    assert accounts.directory.accept(secret, "a", "long enough").role == "admin"
    with pytest.raises(NotFound, match="was used"):
        accounts.directory.accept(secret, "b", "long enough")
    assert accounts.directory.invite_administrator() is None
