"""Keys, logins and passwords: who gets in, and when no more."""

import base64
import json
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from gymserve.accounts import Accounts
from gymserve.accounts.audit import COMMAND_LINE
from gymserve.accounts.logins import Logins, secrets_of
from gymserve.accounts.passwords import AT_ONCE
from gymserve.errors import InvalidRequest, NotFound, SettingsError, TooFast, Unauthenticated, Unavailable
from gymserve.settings import Settings
from gymserve.store import connect
from gymserve.store.models import ApiKey

PASSWORD = "correct horse"


def key(accounts: Accounts, account_id: int, **options: Any) -> str:
    return accounts.keys.create(account_id, "k", by=COMMAND_LINE, **options)[1]


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


def test_a_key_ends_at_once_in_every_process(accounts: Accounts, tmp_path: Path, database_url: str) -> None:
    made = accounts.directory.create("a", PASSWORD)
    other_process = Accounts(Settings(DATA=str(tmp_path), DATABASE=database_url))
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


def test_a_key_expires_also_while_it_is_remembered(on_sqlite: Accounts) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    secret = key(on_sqlite, made.id, days=0.3 / 86400)
    assert on_sqlite.entrance.identify(secret)
    time.sleep(0.4)
    with pytest.raises(Unauthenticated):
        on_sqlite.entrance.identify(secret)


@pytest.mark.parametrize(
    "wrong",
    [{"scopes": []}, {"scopes": ["everything"]}, {"scopes": "account"}, {"days": 0}, {"days": -1}, {"days": True},
     {"days": float("nan")}, {"days": 1e9}],
)  # fmt: skip
def test_a_wrong_key_is_not_made(on_sqlite: Accounts, wrong: dict[str, Any]) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    with pytest.raises(InvalidRequest):
        key(on_sqlite, made.id, **wrong)
    assert on_sqlite.keys.list(made.id) == []


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
        "a number too large": jwt.encode({"alg": "HS256"}, {**claims, "uid": 2**70}, ours),
        "no number": jwt.encode({"alg": "HS256"}, {**claims, "uid": ["1"]}, ours),
        "cut": good[:-4],
        "nothing": "",
        "dots": "..",
        "not ASCII": "ä.ö.ü",
    }


def test_a_login_is_believed_and_forgeries_are_not(on_sqlite: Accounts) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    assert on_sqlite.entrance.identify(on_sqlite.logins.issue(made.id, "a", 0)).account_id == made.id
    for what, token in forged(on_sqlite, made.id).items():
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


def test_wrong_unknown_and_disabled_look_the_same(accounts: Accounts) -> None:
    accounts.directory.create("admin", PASSWORD, role="admin")
    accounts.directory.create("a", PASSWORD)
    disabled = accounts.directory.create("disabled", PASSWORD)
    accounts.directory.change(disabled.id, is_active=False, by=COMMAND_LINE)
    said = set()
    for number, (email, password) in enumerate(
        [("a", "wrong"), ("nobody", PASSWORD), ("disabled", PASSWORD), ("a\0b", PASSWORD), ("a", "x" * 2000), ("", "")]
    ):
        with pytest.raises(Unauthenticated) as refused:
            accounts.entrance.log_in(email, password, address=f"192.0.2.{number}")
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

    times = [(seconds("known"), seconds("unknown")) for _ in range(7)]
    known, unknown = (statistics.median(column) for column in zip(*times, strict=True))
    assert 0.6 < known / unknown < 1.7  # a comparison without a hash would take a thousandth


def test_guessing_is_slowed_down_and_then_the_right_password_waits_too(on_sqlite: Accounts) -> None:
    on_sqlite.directory.create("a", PASSWORD)
    entrance = on_sqlite.entrance
    entrance.passwords.match = lambda hashed, password: password == PASSWORD  # type: ignore[method-assign,assignment]
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
    many = 0
    for number in range(300):  # from ever new addresses
        try:
            entrance.log_in("a", "wrong", address=f"198.51.100.{number}")
        except Unauthenticated:
            many += 1
        except TooFast:
            pass
    assert many < 150


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
    threads = [threading.Thread(target=on_sqlite.passwords.match, args=(None, "x")) for _ in range(8)]
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
    entrance.database = there
    assert entrance.identify(unknown)
