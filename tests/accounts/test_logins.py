"""Login tokens, their signing secrets, and forgeries."""

import base64
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from gymserve.accounts import Accounts
from gymserve.accounts.logins import Logins, signing_secrets
from gymserve.protocol.errors import (
    SettingsError,
    Unauthenticated,
)

PASSWORD = "correct horse"


def forged(accounts: Accounts, uid: int) -> dict[str, str]:
    """Tokens that must be rejected."""
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
def test_a_login_is_accepted_and_forgeries_are_not(on_sqlite: Accounts) -> None:
    made = on_sqlite.directory.create("a", PASSWORD)
    assert on_sqlite.authenticator.identify(on_sqlite.logins.issue(made.id, "a", 0)).account_id == made.id
    for what, token in forged(on_sqlite, made.id).items():
        if "account" not in what:  # only the database can tell
            with pytest.raises(Unauthenticated):
                pytest.fail(f"{what} was read: {on_sqlite.logins.read(token)}")
        with pytest.raises(Unauthenticated):
            pytest.fail(f"{what} was accepted: {on_sqlite.authenticator.identify(token)}")


def test_an_older_secret_is_accepted_until_it_is_removed() -> None:
    old, new = "o" * 40, "n" * 40
    token = Logins([old], seconds=100).issue(1, "a", 0)
    assert Logins([new, old], seconds=100).read(token).account_id == 1
    with pytest.raises(Unauthenticated):
        Logins([new], seconds=100).read(token)


def test_the_secret_is_created_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    made: list[list[str]] = []
    threads = [threading.Thread(target=lambda: made.append(signing_secrets([], tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({tuple(one) for one in made}) == 1 and len(made) == 8
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secrets"]
    with pytest.raises(SettingsError, match="32 characters"):
        signing_secrets(["short"], tmp_path)
