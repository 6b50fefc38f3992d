"""Logins: signed tokens (JWT, HS256) that say who somebody is until they expire."""

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
SHORTEST = 32  # characters of a secret
_CLAIMS = jwt.JWTClaimsRegistry(
    exp={"essential": True}, iat={"essential": True}, uid={"essential": True}, gen={"essential": True}
)


class Login(NamedTuple):
    """What a token says."""

    account_id: int
    generation: int  # of the account; an earlier one is over
    until: float  # seconds since 1970


class Logins:
    """Args:
    secrets: the first signs; the others, which it replaced, are still believed.
    seconds: how long a login lasts.
    """

    def __init__(self, secrets: list[str], *, seconds: float) -> None:
        self._keys = [OctKey.import_key(secret) for secret in secrets]
        self.seconds = seconds

    def issue(self, account_id: int, name: str, generation: int) -> str:
        """A token for an account that has identified itself."""
        now = int(time.time())
        claims = {"sub": name, "uid": account_id, "gen": generation, "iat": now, "exp": now + int(self.seconds)}
        return jwt.encode({"alg": ALGORITHM}, claims, self._keys[0], algorithms=[ALGORITHM])

    def read(self, token: str) -> Login:
        """What a token says that is ours.

        Raises:
            Unauthenticated: it is damaged, expired, or signed with another secret or in another way.
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
        raise Unauthenticated("the token is not valid, or has expired: log in again")


def secrets_of(given: list[str], data: Path) -> list[str]:
    """The secrets that the settings give, or those in the data directory, where one is made first.

    Raises:
        SettingsError: one is too short.
    """
    if not given:
        given = secret_file.kept(data / "secrets", lambda: secrets.token_urlsafe(48)).split()
    if not given or any(len(secret) < SHORTEST for secret in given):
        raise SettingsError(
            f"each of SECRETS (or RL_API_SECRET_KEY) must have at least {SHORTEST} characters, "
            "such as openssl rand -hex 32 gives"
        )
    return given
