"""Hashing and verifying passwords."""

import contextlib
import statistics
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from gymserve.accounts import Accounts
from gymserve.accounts.passwords import MAX_CONCURRENT
from gymserve.protocol.errors import (
    Unavailable,
)

PASSWORD = "correct horse"


def test_known_and_unknown_emails_take_the_same_time(on_sqlite: Accounts) -> None:
    on_sqlite.directory.create("known", PASSWORD)
    on_sqlite.passwords.warm()

    def seconds(email: str) -> float:
        began = time.process_time()
        assert not on_sqlite.passwords.match(
            account.password_hash if (account := on_sqlite.directory.find_by_email(email)) else None, "wrong"
        )
        return time.process_time() - began

    times = [(seconds("known"), seconds("unknown")) for _ in range(3)]
    known, unknown = (statistics.median(column) for column in zip(*times, strict=True))
    assert 0.6 < known / unknown < 1.7  # without hashing, it would take a thousandth of the time


def test_no_password_matches_an_unknown_account(on_sqlite: Accounts) -> None:
    """The dummy hash for unknown accounts never matches, not even the password it was made from."""
    hashed = on_sqlite.passwords.hash(PASSWORD)
    fresh: list[str] = []
    hasher = on_sqlite.passwords._hasher

    def hash_fresh(password: str) -> str:
        fresh.append(password)
        return hasher.hash(password)

    on_sqlite.passwords._hasher = SimpleNamespace(hash=hash_fresh, verify=hasher.verify)
    assert on_sqlite.passwords.match(hashed, PASSWORD) and fresh == []
    assert not on_sqlite.passwords.match(None, PASSWORD)
    (dummy,) = fresh  # created on first use
    assert not on_sqlite.passwords.match(None, dummy) and len(fresh) == 1
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
    assert 1 <= most[0] <= MAX_CONCURRENT


def test_a_slow_password_does_not_hold_up_the_next(on_sqlite: Accounts) -> None:
    hashed = on_sqlite.passwords.hash(PASSWORD)
    with on_sqlite.passwords._slot():
        assert on_sqlite.passwords.match(hashed, PASSWORD)
