"""API keys: creating, limiting and revoking them."""

import time
from typing import Any

import pytest

from gymserve.accounts import Accounts, audit, keys
from gymserve.accounts.audit import COMMAND_LINE
from gymserve.accounts.keys import KeyRequest
from gymserve.protocol import params
from gymserve.protocol.errors import (
    InvalidRequest,
    LimitReached,
    NotFound,
    Unauthenticated,
)
from gymserve.store.models import ApiKey

PASSWORD = "correct horse"


def new_key(accounts: Accounts, account_id: int, name: str = "k", **options: Any) -> str:
    """The secret of a new key."""
    return accounts.keys.create(account_id, KeyRequest(name, **options), by=COMMAND_LINE)[1]


@pytest.mark.parametrize(
    "wrong",
    [{"scopes": []}, {"scopes": ["everything"]}, {"scopes": "account"}, {"days": 0}, {"days": -1}, {"days": True},
     {"days": float("nan")}, {"days": 1e9}, {"name": ""}, {"name": "n" * 101}, {"name": "a\n"}, {"name": 7}],
)  # fmt: skip
def test_an_invalid_key_request_creates_no_key(on_sqlite: Accounts, wrong: dict[str, Any]) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    with pytest.raises(InvalidRequest):
        on_sqlite.keys.create(made.id, params.parse({"name": "k", **wrong}, KeyRequest), by=COMMAND_LINE)
    assert on_sqlite.keys.list(made.id) == []


def test_a_key_may_have_a_long_name_and_ten_years(on_sqlite: Accounts) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    secret = new_key(on_sqlite, made.id, "n" * 100, days=3650, scopes=["training", "account", "training"])
    identity = on_sqlite.authenticator.identify(secret)
    assert identity.scopes == {"training", "account"} and 3649.9 < (identity.until - time.time()) / 86400 <= 3650


def test_revoking_an_unknown_key_is_an_error(accounts: Accounts) -> None:
    made = accounts.directory.create("a", PASSWORD)
    secret = new_key(accounts, made.id)
    for account_id, key_id in ((made.id, -1), (made.id, 0), (made.id, 2), (made.id, 2**31), (made.id, 2**70), (9, 1)):
        with pytest.raises(NotFound, match=f"no key {key_id}"):
            accounts.keys.revoke(account_id, key_id, by=COMMAND_LINE)
    assert accounts.authenticator.identify(secret)


def test_a_key_is_revoked_whatever_its_number(accounts: Accounts) -> None:
    made = accounts.directory.create("a", PASSWORD)
    secret = new_key(accounts, made.id)
    with accounts.database.writing() as session:
        session.get_one(ApiKey, 1).id = 2**31 - 1
    accounts.keys.revoke(made.id, 2**31 - 1, by=COMMAND_LINE)
    with pytest.raises(Unauthenticated):
        accounts.authenticator.identify(secret)


def test_the_number_of_keys_per_account_is_limited(on_sqlite: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "MAX_KEYS", 3)
    made = on_sqlite.directory.create("a", PASSWORD)
    for _ in range(3):
        new_key(on_sqlite, made.id)
    with pytest.raises(LimitReached, match="3 keys"):
        new_key(on_sqlite, made.id)
    assert len(on_sqlite.keys.list(made.id)) == 3


def test_revoking_a_key_is_recorded_in_the_audit_log(on_sqlite: Accounts) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    new_key(on_sqlite, made.id)
    on_sqlite.keys.revoke(made.id, 1, by=COMMAND_LINE)
    recorded = [(each.action, each.subject) for each in audit.entries(on_sqlite.database, days=1)]
    assert ("key revoked", f"1 of account {made.id}") in recorded
