"""Accounts are created, changed and removed, and the audit log records it."""

import datetime
from typing import Any

import pytest
from sqlalchemy import update

from gymserve.accounts import Accounts, audit, directory
from gymserve.accounts.audit import COMMAND_LINE, Actor
from gymserve.protocol.errors import Conflict, InvalidRequest, NotFound
from gymserve.store.models import Account, AuditEntry, now

BY = Actor(7, "somebody", "192.0.2.1", "r-1")


def test_an_email_has_one_account(accounts: Accounts) -> None:
    account = accounts.directory.create("tju_rl.tju.edu.cn", "tju_rl")
    assert (account.id, account.role, account.is_active) == (1, "participant", True)
    assert "tju_rl" not in account.password_hash and account.password_hash.startswith("$argon2id$")
    for variant in ("tju_rl.tju.edu.cn", "TJU_RL.tju.edu.cn", "ｔju_rl.tju.edu.cn"):
        with pytest.raises(InvalidRequest, match="Email already registered"):
            accounts.directory.create(variant, "another password")
    assert [each.email for each in accounts.directory.list()] == ["tju_rl.tju.edu.cn"]


@pytest.mark.parametrize("email", ["", " ", "a\n", " a", "a\0b", "x" * 255, "\ud800", "ß" * 128])
def test_a_bad_email_is_refused(on_sqlite: Accounts, email: str) -> None:
    with pytest.raises(InvalidRequest, match="email"):
        on_sqlite.directory.create(email, "long enough")


@pytest.mark.parametrize("password", ["", "short", "x" * 1025])
def test_a_bad_password_is_refused(on_sqlite: Accounts, password: str) -> None:
    with pytest.raises(InvalidRequest, match="password must be a string of 6 to 1024 characters") as refused:
        on_sqlite.directory.create("a", password)
    assert not password or password not in str(refused.value)


def test_changes_are_recorded_in_the_audit_log(accounts: Accounts) -> None:
    admin = accounts.directory.create("admin", "long enough", role="admin", by=COMMAND_LINE)
    account = accounts.directory.create("a", "long enough", by=BY)
    changed = accounts.directory.change(account.id, email="b", role="organiser", password="still longer", by=BY)
    assert (changed.email, changed.role, changed.generation) == ("b", "organiser", 1)
    assert accounts.directory.find_by_email("A") is None
    assert accounts.directory.find(account.id).email == "b"
    with pytest.raises(InvalidRequest, match="registered"):
        accounts.directory.change(account.id, email="ADMIN", by=BY)
    accounts.directory.remove(account.id, by=BY)
    with pytest.raises(NotFound):
        accounts.directory.find(account.id)

    newest, *_, oldest = audit.entries(accounts.database)
    assert (oldest.actor, oldest.action) == ("command line", "account created")
    assert (newest.action, newest.account_id, newest.address, newest.request_id) == (
        "account removed", 7, "192.0.2.1", "r-1",
    )  # fmt: skip
    subjects = [entry.subject for entry in audit.entries(accounts.database, account_id=7)]
    assert f"{account.id} b: email, password, role organiser" in subjects
    assert not any("long" in subject for subject in subjects)
    assert admin.id not in {entry.account_id for entry in audit.entries(accounts.database)}


def test_the_last_administrator_cannot_be_lost(accounts: Accounts) -> None:
    first = accounts.directory.create("first", "long enough", role="admin")
    for change in ({"role": "organiser"}, {"is_active": False}):
        with pytest.raises(Conflict, match="last administrator"):
            accounts.directory.change(first.id, by=BY, **change)
    with pytest.raises(Conflict, match="last administrator"):
        accounts.directory.remove(first.id, by=BY)
    accounts.directory.create("second", "long enough", role="admin")
    accounts.directory.remove(first.id, by=BY)


def test_an_invitation_creates_one_administrator(accounts: Accounts) -> None:
    replaced = accounts.directory.invite_administrator()
    secret = accounts.directory.invite_administrator()
    assert replaced is not None and secret is not None
    with pytest.raises(NotFound):
        accounts.directory.accept(replaced, "a", "long enough")
    with pytest.raises(InvalidRequest):
        accounts.directory.accept(secret, "a", "short")
    assert accounts.directory.accept(secret, "a", "long enough").role == "admin"
    with pytest.raises(NotFound, match="was used"):
        accounts.directory.accept(secret, "b", "long enough")
    assert accounts.directory.invite_administrator() is None


@pytest.mark.guarantee("submissions, their videos and the audit log grow")
def test_old_entries_of_the_audit_log_are_deleted(accounts: Accounts) -> None:
    for action in ("old", "new"):
        accounts.note(COMMAND_LINE, action, "-")
    with accounts.database.writing() as session:
        past = now() - datetime.timedelta(days=8)
        session.execute(update(AuditEntry).where(AuditEntry.action == "old").values(at=past))
    audit.remove_old(accounts.database, 9)
    assert len(audit.entries(accounts.database)) == 2
    audit.remove_old(accounts.database, 7)
    assert [entry.action for entry in audit.entries(accounts.database)] == ["new"]


def test_emails_and_passwords_may_have_their_full_length(on_sqlite: Accounts) -> None:
    email, password = "x" * 254, "y" * 1024
    assert on_sqlite.directory.create(email, password).email == email
    assert on_sqlite.authenticator.log_in(email, password, address="192.0.2.1").email == email


def insert(accounts: Accounts, *ids: int) -> None:
    """Adds accounts without passwords, since hashing is slow."""
    with accounts.database.writing() as session:
        for account_id in ids:
            email = f"e{account_id}"
            session.add(Account(id=account_id, email=email, email_key=email, password_hash="-", role="participant"))


def test_accounts_are_listed_in_pages_of_a_hundred(accounts: Accounts) -> None:
    insert(accounts, *range(1, 103))
    assert [each.id for each in accounts.directory.list()] == list(range(1, 101))
    assert [each.id for each in accounts.directory.list(skip=100, limit=5)] == [101, 102]


def test_an_account_is_found_by_its_id(accounts: Accounts) -> None:
    insert(accounts, 2**31 - 1)
    assert accounts.directory.find(2**31 - 1).email == f"e{2**31 - 1}"
    for wrong in (-1, 0, 1, 2**31, 2**63, 2**70):
        with pytest.raises(NotFound, match=f"no account {wrong}"):
            accounts.directory.find(wrong)


def rename(accounts: Accounts, account_id: int, name: Any) -> str | None:
    """Changes an account's name, and returns the stored one."""
    return accounts.directory.change(account_id, name=name, by=BY).name


def test_a_name_is_unique_and_can_be_removed(on_sqlite: Accounts) -> None:
    insert(on_sqlite, 1, 2)
    assert rename(on_sqlite, 1, "Ada L.") == "Ada L."
    assert rename(on_sqlite, 1, "ada l.") == "ada l."
    for variant in ("Ada L.", "ＡDA l."):
        with pytest.raises(InvalidRequest, match="is taken: choose another"):
            rename(on_sqlite, 2, variant)
    assert rename(on_sqlite, 1, "") is None
    assert rename(on_sqlite, 2, "Ada L.") == "Ada L." and rename(on_sqlite, 1, "n" * 60) == "n" * 60
    for wrong in ("n" * 61, "ﷺ" * 11, " a", "a ", "a\n", "a\0b", "Team:a", "Account 7"):
        with pytest.raises(InvalidRequest, match="name must"):
            rename(on_sqlite, 2, wrong)
    assert on_sqlite.directory.find(2).name == "Ada L."


def test_only_a_new_password_or_disabling_ends_logins(on_sqlite: Accounts) -> None:
    on_sqlite.directory.create("admin", "long enough", role="admin")
    insert(on_sqlite, 2)
    login = on_sqlite.logins.issue(2, "e2", 0)
    on_sqlite.directory.change(2, email="e", name="n", role="organiser", is_active=True, by=BY)
    assert on_sqlite.authenticator.identify(login).role == "organiser"
    on_sqlite.directory.change(2, is_active=False, by=BY)
    on_sqlite.directory.change(2, is_active=True, by=BY)
    assert on_sqlite.directory.find(2).generation == 1
    subjects = [each.subject for each in audit.entries(on_sqlite.database, account_id=7)]
    assert subjects == ["2 e: enabled", "2 e: disabled", "2 e: email, name n, role organiser, enabled"]


def test_an_invitation_lasts_two_days(on_sqlite: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    invitation, now = on_sqlite.directory.invite_administrator(), directory.now()
    assert invitation is not None and len(invitation) >= 32
    monkeypatch.setattr(directory, "now", lambda: now + datetime.timedelta(days=1.99))
    assert on_sqlite.directory.invited_role(invitation) == "admin"
    monkeypatch.setattr(directory, "now", lambda: now + datetime.timedelta(days=2))
    with pytest.raises(NotFound, match="has expired"):
        on_sqlite.directory.invited_role(invitation)


def test_the_audit_log_lists_the_newest_entries_first(on_sqlite: Accounts) -> None:
    for number in range(3):
        on_sqlite.note(Actor(number, "a" * 300, "b" * 99, "c" * 99), f"action {number}", "s" * 999)
    entries = audit.entries(on_sqlite.database, limit=2)
    assert [each.action for each in entries] == ["action 2", "action 1"]
    newest = entries[0]
    lengths = [len(each) for each in (newest.actor, newest.subject, newest.address, newest.request_id)]
    assert lengths == [254, 300, 60, 64]
    assert [each.action for each in audit.entries(on_sqlite.database, account_id=1)] == ["action 1"]
    assert audit.entries(on_sqlite.database, days=0) == []
