"""Logins: signed tokens (JWT, HS256) that identify an account until they expire."""

import secrets
import time
from pathlib import Path
from typing import NamedTuple

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from gymserve.protocol.errors import SettingsError, Unauthenticated
from gymserve.system import secret_file

ALGORITHM = "HS256"
MIN_SECRET_LENGTH = 32
_CLAIMS = jwt.JWTClaimsRegistry(
    exp={"essential": True}, iat={"essential": True}, uid={"essential": True}, gen={"essential": True}
)


class Login(NamedTuple):
    """The claims of a login token."""

    account_id: int
    generation: int  # the account's when the token was issued; the account's next one ends the login
    until: float  # seconds since 1970


class Logins:
    """Issues and reads login tokens.

    Args:
        secrets: the first one signs; tokens signed with the others, which it replaced, are still accepted.
        seconds: how long a login lasts.
    """

    def __init__(self, secrets: list[str], *, seconds: float) -> None:
        self._keys = [OctKey.import_key(secret) for secret in secrets]
        self.seconds = seconds

    def issue(self, account_id: int, name: str, generation: int) -> str:
        """A token for an account that has logged in."""
        now = int(time.time())
        claims = {"sub": name, "uid": account_id, "gen": generation, "iat": now, "exp": now + int(self.seconds)}
        return jwt.encode({"alg": ALGORITHM}, claims, self._keys[0], algorithms=[ALGORITHM])

    def read(self, token: str) -> Login:
        """The claims of a token that this server signed.

        Raises:
            Unauthenticated: the token is damaged, expired, or signed with another secret or algorithm.
        """
        for key in self._keys:
            try:
                claims = jwt.decode(token, key, algorithms=[ALGORITHM]).claims
                _CLAIMS.validate(claims)
                login = Login(int(claims["uid"]), int(claims["gen"]), float(claims["exp"]))
                if 0 < login.account_id < 2**31:
                    return login
            except (JoseError, ValueError, TypeError):
                continue
        raise Unauthenticated("the token is not valid or has expired: log in again")


def signing_secrets(configured: list[str], data: Path) -> list[str]:
    """The secrets from the settings, or else those in the data directory, which are created on first use.

    Raises:
        SettingsError: a secret is too short.
    """
    signing = configured or secret_file.read_or_create(data / "secrets", lambda: secrets.token_urlsafe(48)).split()
    if not signing or any(len(secret) < MIN_SECRET_LENGTH for secret in signing):
        raise SettingsError(
            f"each of SECRETS (or RL_API_SECRET_KEY) must have at least {MIN_SECRET_LENGTH} characters; "
            "make one with openssl rand -hex 32"
        )
    return signing
