"""Keys, logins and passwords: who gets in, and when no more."""

import base64
import contextlib
import itertools
import json
import statistics
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from gymserve.accounts import Accounts, audit, entrance, keys
from gymserve.accounts.audit import COMMAND_LINE
from gymserve.accounts.identity import Identity
from gymserve.accounts.keys import KeyOrder
from gymserve.accounts.logins import Logins, secrets_of
from gymserve.accounts.passwords import AT_ONCE
from gymserve.protocol import params
from gymserve.protocol.errors import (
    InvalidRequest,
    LimitReached,
    NotFound,
    SettingsError,
    TooFast,
    Unauthenticated,
    Unavailable,
)
from gymserve.settings import Settings
from gymserve.store import connect
from gymserve.store.models import Account, ApiKey
from gymserve.system import rates

PASSWORD = "correct horse"


def key(accounts: Accounts, account_id: int, name: str = "k", **options: Any) -> str:
    return accounts.keys.create(account_id, KeyOrder(name, **options), by=COMMAND_LINE)[1]


def test_a_key_is_its_account(accounts: Accounts) -> None:
    made = accounts.directory.create("a", PASSWORD, role="organiser")
    secret = key(accounts, made.id)
    identity = accounts.entrance.identify(secret)
    assert (identity.account_id, identity.name, identity.role) == (made.id, "a", "organiser")
    with accounts.database.reading() as session:
        row = session.get_one(ApiKey, 1)
    assert secret not in str(vars(row)) and secret.startswith(row.hint)
    with pytest.raises(Unauthenticated):
        accounts.entrance.identify(secret[:-1] + ("a" if secret[-1] != "a" else "b"))


@pytest.mark.guarantee("a key is revoked")
def test_a_key_ends_at_once_in_every_process(accounts: Accounts, tmp_path: Path, migrated_url: str) -> None:
    made = accounts.directory.create("a", PASSWORD)
    other_process = Accounts(Settings(DATA=str(tmp_path), DATABASE=migrated_url))
    secret = key(accounts, made.id)
    assert other_process.entrance.identify(secret).account_id == made.id
    with pytest.raises(NotFound):
        accounts.keys.revoke(made.id + 1, 1, by=COMMAND_LINE)
    accounts.keys.revoke(made.id, 1, by=COMMAND_LINE)
    for door in (accounts, other_process):
        with pytest.raises(Unauthenticated):
            door.entrance.identify(secret)
    other_process.database.close()


def test_a_disabled_account_has_no_keys_and_no_logins(accounts: Accounts) -> None:
    accounts.directory.create("admin", PASSWORD, role="admin")
    made = accounts.directory.create("a", PASSWORD)
    secret, token = key(accounts, made.id), accounts.logins.issue(made.id, "a", made.generation)
    assert accounts.entrance.identify(secret) and accounts.entrance.identify(token)
    accounts.directory.change(made.id, is_active=False, by=COMMAND_LINE)
    for given in (secret, token):
        with pytest.raises(Unauthenticated):
            accounts.entrance.identify(given)
    accounts.directory.change(made.id, is_active=True, by=COMMAND_LINE)
    assert accounts.entrance.identify(secret)
    with pytest.raises(Unauthenticated):  # its login is over all the same
        accounts.entrance.identify(token)


def test_a_key_expires_also_while_it_is_remembered(on_sqlite: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    secret = key(on_sqlite, made.id, days=1)
    now = on_sqlite.entrance.identify(secret).until - 1
    monkeypatch.setattr(entrance, "time", SimpleNamespace(time=lambda: now, monotonic=lambda: now))
    assert on_sqlite.entrance.identify(secret)
    now += 2
    assert entrance.REMEMBERED_SECONDS > 2
    with pytest.raises(Unauthenticated):
        on_sqlite.entrance.identify(secret)


@pytest.mark.parametrize(
    "wrong",
    [{"scopes": []}, {"scopes": ["everything"]}, {"scopes": "account"}, {"days": 0}, {"days": -1}, {"days": True},
     {"days": float("nan")}, {"days": 1e9}, {"name": ""}, {"name": "n" * 101}, {"name": "a\n"}, {"name": 7}],
)  # fmt: skip
def test_a_wrong_key_is_not_made(on_sqlite: Accounts, wrong: dict[str, Any]) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    with pytest.raises(InvalidRequest):
        on_sqlite.keys.create(made.id, params.parse({"name": "k", **wrong}, KeyOrder), by=COMMAND_LINE)
    assert on_sqlite.keys.list(made.id) == []


def test_a_key_may_have_a_long_name_and_ten_years(on_sqlite: Accounts) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    secret = key(on_sqlite, made.id, "n" * 100, days=3650, scopes=["training", "account", "training"])
    identity = on_sqlite.entrance.identify(secret)
    assert identity.scopes == {"training", "account"} and 3649.9 < (identity.until - time.time()) / 86400 <= 3650


def test_a_key_that_is_not_there_is_not_revoked(accounts: Accounts) -> None:
    made = accounts.directory.create("a", PASSWORD)
    secret = key(accounts, made.id)
    for account_id, key_id in ((made.id, -1), (made.id, 0), (made.id, 2), (made.id, 2**31), (made.id, 2**70), (9, 1)):
        with pytest.raises(NotFound, match=f"no key {key_id}"):
            accounts.keys.revoke(account_id, key_id, by=COMMAND_LINE)
    assert accounts.entrance.identify(secret)


def forged(accounts: Accounts, uid: int) -> dict[str, str]:
    """Tokens that must not be believed."""
    now = int(time.time())
    claims = {"sub": "a", "uid": uid, "gen": 0, "iat": now, "exp": now + 1000}
    ours = OctKey.import_key(accounts.secrets[0])

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    good = jwt.encode({"alg": "HS256"}, claims, ours)
    head, body, signature = good.split(".")
    return {
        "no algorithm": f"{part({'alg': 'none'})}.{body}.",
        "no algorithm, signed": f"{part({'alg': 'none'})}.{body}.{signature}",
        "another secret": jwt.encode({"alg": "HS256"}, claims, OctKey.import_key("x" * 40)),
        "another algorithm": jwt.encode({"alg": "HS512"}, claims, ours, algorithms=["HS512"]),
        "a public key": jwt.encode({"alg": "RS256"}, claims, RSAKey.generate_key(2048)),
        "expired": jwt.encode({"alg": "HS256"}, {**claims, "exp": now - 1}, ours),
        "no expiry": jwt.encode({"alg": "HS256"}, {n: v for n, v in claims.items() if n != "exp"}, ours),
        "another account": f"{head}.{part({**claims, 'uid': uid + 1})}.{signature}",
        "no such account": jwt.encode({"alg": "HS256"}, {**claims, "uid": uid + 1}, ours),
        "a number larger than all": jwt.encode({"alg": "HS256"}, {**claims, "uid": 2**31}, ours),
        "a number too large": jwt.encode({"alg": "HS256"}, {**claims, "uid": 2**70}, ours),
        "no number": jwt.encode({"alg": "HS256"}, {**claims, "uid": ["1"]}, ours),
        "cut": good[:-4],
        "nothing": "",
        "dots": "..",
        "not ASCII": "ä.ö.ü",
    }


@pytest.mark.guarantee("a token or login is forged")
def test_a_login_is_believed_and_forgeries_are_not(on_sqlite: Accounts) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    assert on_sqlite.entrance.identify(on_sqlite.logins.issue(made.id, "a", 0)).account_id == made.id
    for what, token in forged(on_sqlite, made.id).items():
        if "account" not in what:  # that is for the database to say
            with pytest.raises(Unauthenticated):
                pytest.fail(f"{what} was read: {on_sqlite.logins.read(token)}")
        with pytest.raises(Unauthenticated):
            pytest.fail(f"{what} was believed: {on_sqlite.entrance.identify(token)}")


def test_an_older_secret_is_believed_until_it_is_taken_away() -> None:
    old, new = "o" * 40, "n" * 40
    token = Logins([old], seconds=100).issue(1, "a", 0)
    assert Logins([new, old], seconds=100).read(token).account_id == 1
    with pytest.raises(Unauthenticated):
        Logins([new], seconds=100).read(token)


def test_the_secret_is_made_once_and_for_us_alone(tmp_path: Path) -> None:
    made: list[list[str]] = []
    threads = [threading.Thread(target=lambda: made.append(secrets_of([], tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({tuple(one) for one in made}) == 1 and len(made) == 8
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secrets"]
    with pytest.raises(SettingsError, match="32 characters"):
        secrets_of(["short"], tmp_path)


def test_a_changed_password_ends_logins(accounts: Accounts) -> None:
    made = accounts.directory.create("a", PASSWORD)
    token = accounts.logins.issue(made.id, "a", made.generation)
    assert accounts.entrance.identify(token)
    accounts.directory.change(made.id, password="another horse", by=COMMAND_LINE)
    with pytest.raises(Unauthenticated):
        accounts.entrance.identify(token)
    with pytest.raises(Unauthenticated):
        accounts.entrance.log_in("a", PASSWORD, address="192.0.2.1")
    assert accounts.entrance.log_in("A", "another horse", address="192.0.2.1").id == made.id


@pytest.mark.guarantee("passwords are guessed")
def test_wrong_unknown_and_disabled_look_the_same(on_sqlite: Accounts) -> None:
    on_sqlite.directory.create("admin", PASSWORD, role="admin")
    on_sqlite.directory.create("a", PASSWORD)
    disabled = on_sqlite.directory.create("disabled", PASSWORD)
    on_sqlite.directory.change(disabled.id, is_active=False, by=COMMAND_LINE)
    said = set()
    for number, (email, password) in enumerate(
        [("a", "wrong"), ("nobody", PASSWORD), ("disabled", PASSWORD), ("a\0b", PASSWORD), ("a", "x" * 2000), ("", "")]
    ):
        with pytest.raises(Unauthenticated) as refused:
            on_sqlite.entrance.log_in(email, password, address=f"192.0.2.{number}")
        said.add(str(refused.value))
    assert said == {"wrong email or password"}


def test_known_and_unknown_names_take_the_same_time(on_sqlite: Accounts) -> None:
    on_sqlite.directory.create("known", PASSWORD)
    on_sqlite.passwords.warm()

    def seconds(email: str) -> float:
        began = time.process_time()
        assert not on_sqlite.passwords.match(
            account.password_hash if (account := on_sqlite.directory.named(email)) else None, "wrong"
        )
        return time.process_time() - began

    times = [(seconds("known"), seconds("unknown")) for _ in range(3)]
    known, unknown = (statistics.median(column) for column in zip(*times, strict=True))
    assert 0.6 < known / unknown < 1.7  # a comparison without a hash would take a thousandth


@pytest.mark.guarantee("passwords are guessed")
def test_guessing_is_slowed_down_and_then_the_right_password_waits_too(on_sqlite: Accounts) -> None:
    on_sqlite.directory.create("a", PASSWORD)
    entrance = on_sqlite.entrance
    entrance.passwords.match = lambda hashed, password: password == PASSWORD
    assert entrance.log_in("a", PASSWORD, address="192.0.2.1")
    refused = []
    for _ in range(10_000):
        try:
            entrance.log_in("a", "wrong", address="192.0.2.1")
        except (Unauthenticated, TooFast) as error:
            refused.append(type(error))
    assert refused.count(Unauthenticated) == 5 and set(refused[5:]) == {TooFast}
    with pytest.raises(TooFast) as waiting:
        entrance.log_in("a", PASSWORD, address="192.0.2.1")
    assert 0 < waiting.value.retry_after <= 30
    assert entrance.log_in("a", PASSWORD, address="192.0.2.2")  # its owner is elsewhere


@pytest.mark.guarantee("passwords are guessed")
@pytest.mark.parametrize(("what", "burst"), [("an address", 50), ("an account", 100)])
def test_guessing_from_everywhere_and_of_everybody_is_slowed_down(
    on_sqlite: Accounts, monkeypatch: pytest.MonkeyPatch, what: str, burst: int
) -> None:
    now, numbers = [1000.0], itertools.count()
    monkeypatch.setattr(rates, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(on_sqlite.passwords, "match", lambda hashed, password: False)

    def tried() -> int:
        """How many of a thousand guesses are let through now."""
        through = 0
        for number in itertools.islice(numbers, 1000):
            names = (f"a{number}", "192.0.2.1") if what == "an address" else ("a", f"198.51.100.{number}")
            with contextlib.suppress(TooFast):
                with pytest.raises(Unauthenticated):
                    on_sqlite.entrance.log_in(names[0], "wrong", address=names[1])
                through += 1
        return through

    assert tried() == burst
    now[0] += 12.1
    assert tried() == 2


def test_nobodys_password_is_nobodys(on_sqlite: Accounts) -> None:
    """The hash that stands in for an unknown account's opens no door, whatever it was made of."""
    hashed, fresh = on_sqlite.passwords.hash(PASSWORD), []
    hasher = on_sqlite.passwords._hasher
    on_sqlite.passwords._hasher = SimpleNamespace(
        hash=lambda password: fresh.append(password) or hasher.hash(password), verify=hasher.verify
    )
    assert on_sqlite.passwords.match(hashed, PASSWORD) and fresh == []
    assert not on_sqlite.passwords.match(None, PASSWORD)
    (stand_in,) = fresh  # made when it was wanted
    assert not on_sqlite.passwords.match(None, stand_in) and len(fresh) == 1
    assert not on_sqlite.passwords.match("no hash", PASSWORD)
    longest = "x" * 1024
    assert on_sqlite.passwords.match(on_sqlite.passwords.hash(longest), longest)
    assert not on_sqlite.passwords.match(on_sqlite.passwords.hash(longest), longest + "y")


def test_few_passwords_are_hashed_at_a_time(on_sqlite: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most, lock = [0], [0], threading.Lock()
    verify = on_sqlite.passwords._hasher.verify

    class Watched:
        def hash(self, password: bytes) -> str:
            return on_sqlite_hash

        def verify(self, *args: Any) -> bool:
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            try:
                return verify(*args)
            finally:
                with lock:
                    inside[0] -= 1

    on_sqlite_hash = on_sqlite.passwords.hash("long enough")
    monkeypatch.setattr(on_sqlite.passwords, "_hasher", Watched())

    def match() -> None:
        with contextlib.suppress(Unavailable):  # on a slow machine
            on_sqlite.passwords.match(None, "x")

    threads = [threading.Thread(target=match) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= most[0] <= AT_ONCE


def test_while_the_database_is_away_those_who_are_known_go_on(on_sqlite: Accounts, tmp_path: Path) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    known, unknown = key(on_sqlite, made.id), key(on_sqlite, made.id)
    entrance = on_sqlite.entrance
    assert entrance.identify(known)
    there, entrance.database = entrance.database, connect("postgresql://postgres@127.0.0.1:9/x", tmp_path)
    identity, seen, _ = entrance._known[known]
    entrance._known[known] = (identity, seen, 0.0)  # what was remembered is old
    assert entrance.identify(known).account_id == made.id
    with pytest.raises(Unavailable):
        entrance.identify(unknown)
    on_sqlite.keys.watch.change()  # a change that cannot be looked up: it may have ended this very key
    with pytest.raises(Unavailable):
        entrance.identify(known)
    entrance.database = there
    assert entrance.identify(unknown)


def test_no_more_are_remembered_than_so_many(on_sqlite: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance, "REMEMBERED", 3)
    made = on_sqlite.directory.create("a", PASSWORD)
    secrets = [key(on_sqlite, made.id) for _ in range(5)]
    for secret in secrets:
        on_sqlite.entrance.identify(secret)
    assert list(on_sqlite.entrance._known) == secrets[2:]


def test_an_account_has_so_many_keys_and_no_more(on_sqlite: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "MOST", 3)
    made = on_sqlite.directory.create("a", PASSWORD)
    for _ in range(3):
        key(on_sqlite, made.id)
    with pytest.raises(LimitReached, match="3 keys"):
        key(on_sqlite, made.id)
    assert len(on_sqlite.keys.list(made.id)) == 3


def test_a_revoked_key_is_noted(on_sqlite: Accounts) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    key(on_sqlite, made.id)
    on_sqlite.keys.revoke(made.id, 1, by=COMMAND_LINE)
    noted = [(each.action, each.subject) for each in audit.entries(on_sqlite.database, days=1)]
    assert ("key revoked", f"1 of account {made.id}") in noted


def test_logging_out_ends_logins_and_no_keys(on_sqlite: Accounts) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    secret, token = key(on_sqlite, made.id), on_sqlite.logins.issue(made.id, "a", made.generation)
    assert on_sqlite.entrance.identify(token).account_id == made.id
    on_sqlite.directory.log_out(made.id, by=COMMAND_LINE)
    with pytest.raises(Unauthenticated):
        on_sqlite.entrance.identify(token)
    assert on_sqlite.entrance.identify(secret).account_id == made.id


def test_what_is_remembered_is_asked_for_again_after_some_seconds(
    on_sqlite: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change by a program on another machine moves no number here."""
    made = on_sqlite.directory.create("a", PASSWORD)
    secret, now = key(on_sqlite, made.id), [time.time()]
    monkeypatch.setattr(entrance, "time", SimpleNamespace(time=lambda: now[0], monotonic=lambda: now[0]))
    assert on_sqlite.entrance.identify(secret).role == "participant"
    with on_sqlite.database.writing() as session:
        session.get_one(Account, made.id).role = "organiser"
    now[0] += 4.9
    assert on_sqlite.entrance.identify(secret).role == "participant"
    now[0] += 0.2
    assert on_sqlite.entrance.identify(secret).role == "organiser"


def test_a_change_is_a_change_whatever_the_number(on_sqlite: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    secret, seen = key(on_sqlite, made.id), []
    number = [5]
    monkeypatch.setattr(on_sqlite.keys.watch, "read", lambda: number[0])
    look_up = on_sqlite.entrance._of_key
    monkeypatch.setattr(on_sqlite.entrance, "_of_key", lambda secret: seen.append(number[0]) or look_up(secret))
    for number[0] in (5, 5, 9, 9, 2, 2):
        assert on_sqlite.entrance.identify(secret)
    assert seen == [5, 9, 2]


def test_a_role_includes_those_below_it() -> None:
    roles = ("participant", "organiser", "admin")
    for number, role in enumerate(roles):
        who = Identity(1, "a", role)
        assert [who.has_role(each) for each in roles] == [place <= number for place in range(3)]
        assert who.sees_all is (role == "admin")
