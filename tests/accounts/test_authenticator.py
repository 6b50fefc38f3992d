"""Keys, login tokens and passwords: whom they identify, and until when."""

import contextlib
import itertools
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from gymserve.accounts import Accounts, AccountSettings, authenticator
from gymserve.accounts.audit import COMMAND_LINE
from gymserve.protocol.errors import (
    NotFound,
    TooFast,
    Unauthenticated,
    Unavailable,
)
from gymserve.settings import Settings
from gymserve.store import connect
from gymserve.store.models import Account, ApiKey
from gymserve.system import rates
from tests.accounts.test_keys import new_key

PASSWORD = "correct horse"


def test_a_key_identifies_its_account(accounts: Accounts) -> None:
    made = accounts.directory.create("a", PASSWORD, role="organiser")
    secret = new_key(accounts, made.id)
    identity = accounts.authenticator.identify(secret)
    assert (identity.account_id, identity.name, identity.role) == (made.id, "a", "organiser")
    with accounts.database.reading() as session:
        row = session.get_one(ApiKey, 1)
    assert secret not in str(vars(row)) and secret.startswith(row.hint)
    with pytest.raises(Unauthenticated):
        accounts.authenticator.identify(secret[:-1] + ("a" if secret[-1] != "a" else "b"))


@pytest.mark.guarantee("a key is revoked")
def test_a_revoked_key_stops_working_at_once_in_every_process(
    accounts: Accounts, tmp_path: Path, migrated_url: str
) -> None:
    made = accounts.directory.create("a", PASSWORD)
    other_process = Accounts(Settings(DATA=str(tmp_path), DATABASE=migrated_url).pick(AccountSettings))
    secret = new_key(accounts, made.id)
    assert other_process.authenticator.identify(secret).account_id == made.id
    with pytest.raises(NotFound):
        accounts.keys.revoke(made.id + 1, 1, by=COMMAND_LINE)
    accounts.keys.revoke(made.id, 1, by=COMMAND_LINE)
    for process in (accounts, other_process):
        with pytest.raises(Unauthenticated):
            process.authenticator.identify(secret)
    other_process.database.close()


def test_keys_and_logins_of_a_disabled_account_are_refused(accounts: Accounts) -> None:
    accounts.directory.create("admin", PASSWORD, role="admin")
    made = accounts.directory.create("a", PASSWORD)
    secret, token = new_key(accounts, made.id), accounts.logins.issue(made.id, "a", made.generation)
    assert accounts.authenticator.identify(secret) and accounts.authenticator.identify(token)
    accounts.directory.change(made.id, is_active=False, by=COMMAND_LINE)
    for credential in (secret, token):
        with pytest.raises(Unauthenticated):
            accounts.authenticator.identify(credential)
    accounts.directory.change(made.id, is_active=True, by=COMMAND_LINE)
    assert accounts.authenticator.identify(secret)
    with pytest.raises(Unauthenticated):  # but the login stays ended
        accounts.authenticator.identify(token)


def test_a_key_expires_even_while_it_is_cached(on_sqlite: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    secret = new_key(on_sqlite, made.id, days=1)
    now = on_sqlite.authenticator.identify(secret).until - 1
    monkeypatch.setattr(authenticator, "time", SimpleNamespace(time=lambda: now, monotonic=lambda: now))
    assert on_sqlite.authenticator.identify(secret)
    now += 2
    assert authenticator.CACHE_SECONDS > 2
    with pytest.raises(Unauthenticated):
        on_sqlite.authenticator.identify(secret)


def test_a_changed_password_ends_logins(accounts: Accounts) -> None:
    made = accounts.directory.create("a", PASSWORD)
    token = accounts.logins.issue(made.id, "a", made.generation)
    assert accounts.authenticator.identify(token)
    accounts.directory.change(made.id, password="another horse", by=COMMAND_LINE)
    with pytest.raises(Unauthenticated):
        accounts.authenticator.identify(token)
    with pytest.raises(Unauthenticated):
        accounts.authenticator.log_in("a", PASSWORD, address="192.0.2.1")
    assert accounts.authenticator.log_in("A", "another horse", address="192.0.2.1").id == made.id


@pytest.mark.guarantee("passwords are guessed")
def test_wrong_passwords_unknown_emails_and_disabled_accounts_look_the_same(on_sqlite: Accounts) -> None:
    on_sqlite.directory.create("admin", PASSWORD, role="admin")
    on_sqlite.directory.create("a", PASSWORD)
    disabled = on_sqlite.directory.create("disabled", PASSWORD)
    on_sqlite.directory.change(disabled.id, is_active=False, by=COMMAND_LINE)
    messages = set()
    for number, (email, password) in enumerate(
        [("a", "wrong"), ("nobody", PASSWORD), ("disabled", PASSWORD), ("a\0b", PASSWORD), ("a", "x" * 2000), ("", "")]
    ):
        with pytest.raises(Unauthenticated) as refused:
            on_sqlite.authenticator.log_in(email, password, address=f"192.0.2.{number}")
        messages.add(str(refused.value))
    assert messages == {"wrong email or password"}


@pytest.mark.guarantee("passwords are guessed")
def test_guessing_is_slowed_down_even_for_the_right_password(on_sqlite: Accounts) -> None:
    on_sqlite.directory.create("a", PASSWORD)
    authenticator = on_sqlite.authenticator
    authenticator.passwords.match = lambda hashed, password: password == PASSWORD
    assert authenticator.log_in("a", PASSWORD, address="192.0.2.1")
    refused = []
    for _ in range(10_000):
        try:
            authenticator.log_in("a", "wrong", address="192.0.2.1")
        except (Unauthenticated, TooFast) as error:
            refused.append(type(error))
    assert refused.count(Unauthenticated) == 5 and set(refused[5:]) == {TooFast}
    with pytest.raises(TooFast) as waiting:
        authenticator.log_in("a", PASSWORD, address="192.0.2.1")
    assert 0 < waiting.value.retry_after <= 30
    assert authenticator.log_in("a", PASSWORD, address="192.0.2.2")  # the owner is at another address


@pytest.mark.guarantee("passwords are guessed")
@pytest.mark.parametrize(
    ("what", "burst", "seconds", "more"),
    [("an address", 50, 23.9, 3), ("an account", 100, 23.9, 3), ("an account at an address", 5, 59.9, 1)],
)
def test_guessing_from_many_addresses_or_for_many_accounts_is_slowed_down(
    on_sqlite: Accounts, monkeypatch: pytest.MonkeyPatch, what: str, burst: int, seconds: float, more: int
) -> None:
    now, numbers = [1000.0], itertools.count()
    monkeypatch.setattr(rates, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(on_sqlite.passwords, "match", lambda hashed, password: False)

    def attempts_accepted() -> int:
        """How many of a thousand guesses are not rate limited."""
        accepted = 0
        for number in itertools.islice(numbers, 1000):
            names = (f"a{number}" if what == "an address" else "a", "192.0.2.1")
            if what == "an account":
                names = ("a", f"198.51.100.{number}")
            with contextlib.suppress(TooFast):
                with pytest.raises(Unauthenticated):
                    on_sqlite.authenticator.log_in(names[0], "wrong", address=names[1])
                accepted += 1
        return accepted

    assert attempts_accepted() == burst
    now[0] += seconds
    assert attempts_accepted() == more


def test_cached_identities_work_while_the_database_is_down(on_sqlite: Accounts, tmp_path: Path) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    known, unknown = new_key(on_sqlite, made.id), new_key(on_sqlite, made.id)
    authenticator = on_sqlite.authenticator
    assert authenticator.identify(known)
    there, authenticator.database = authenticator.database, connect("postgresql://postgres@127.0.0.1:9/x", tmp_path)
    authenticator._cache[known] = authenticator._cache[known]._replace(expires=0.0)
    assert authenticator.identify(known).account_id == made.id
    with pytest.raises(Unavailable):
        authenticator.identify(unknown)
    on_sqlite.keys.revision.change()  # the change cannot be read: it may have revoked this key
    with pytest.raises(Unavailable):
        authenticator.identify(known)
    authenticator.database = there
    assert authenticator.identify(unknown)


def test_the_cache_is_bounded(on_sqlite: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authenticator, "CACHE_SIZE", 3)
    made = on_sqlite.directory.create("a", PASSWORD)
    secrets = [new_key(on_sqlite, made.id) for _ in range(5)]
    for secret in secrets:
        on_sqlite.authenticator.identify(secret)
    assert list(on_sqlite.authenticator._cache) == secrets[2:]


def test_logging_out_ends_logins_but_not_keys(on_sqlite: Accounts) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    secret, token = new_key(on_sqlite, made.id), on_sqlite.logins.issue(made.id, "a", made.generation)
    assert on_sqlite.authenticator.identify(token).account_id == made.id
    on_sqlite.directory.log_out(made.id, by=COMMAND_LINE)
    with pytest.raises(Unauthenticated):
        on_sqlite.authenticator.identify(token)
    assert on_sqlite.authenticator.identify(secret).account_id == made.id


def test_cached_identities_are_refreshed_after_some_seconds(
    on_sqlite: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change by a program on another machine does not change the revision here."""
    made = on_sqlite.directory.create("a", PASSWORD)
    secret, now = new_key(on_sqlite, made.id), [time.time()]
    monkeypatch.setattr(authenticator, "time", SimpleNamespace(time=lambda: now[0], monotonic=lambda: now[0]))
    assert on_sqlite.authenticator.identify(secret).role == "participant"
    with on_sqlite.database.writing() as session:
        session.get_one(Account, made.id).role = "organiser"
    now[0] += 4.9
    assert on_sqlite.authenticator.identify(secret).role == "participant"
    now[0] += 0.2
    assert on_sqlite.authenticator.identify(secret).role == "organiser"


def test_any_other_revision_is_a_change(on_sqlite: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    secret = new_key(on_sqlite, made.id)
    seen: list[int] = []
    number = [5]
    monkeypatch.setattr(on_sqlite.keys.revision, "read", lambda: number[0])
    look_up = on_sqlite.authenticator._of_key

    def look_up_seen(secret: str) -> object:
        seen.append(number[0])
        return look_up(secret)

    monkeypatch.setattr(on_sqlite.authenticator, "_of_key", look_up_seen)
    for number[0] in (5, 5, 9, 9, 2, 2):
        assert on_sqlite.authenticator.identify(secret)
    assert seen == [5, 9, 2]
