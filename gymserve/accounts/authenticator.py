"""The authenticator: turns a request's credential (an API key, a login token or a password) into an identity."""

import time
from collections import OrderedDict
from typing import NamedTuple

from sqlalchemy import select

from gymserve.accounts import audit
from gymserve.accounts.audit import Actor
from gymserve.accounts.directory import digest, key_of
from gymserve.accounts.identity import SCOPES, Identity
from gymserve.accounts.keys import PREFIX
from gymserve.accounts.logins import Logins
from gymserve.accounts.passwords import Passwords
from gymserve.accounts.revision import Revision
from gymserve.protocol.errors import TooFast, Unauthenticated, Unavailable
from gymserve.store import Database
from gymserve.store.models import Account, ApiKey
from gymserve.system.rates import Rates

CACHE_SIZE = 10_000  # identities
CACHE_SECONDS = 5.0  # how long a change made on another machine may go unnoticed
WRONG_PASSWORD = "wrong email or password"
INVALID_CREDENTIAL = "the key or token is not valid, was revoked, or has expired"


class _Cached(NamedTuple):
    """An identity with the revision of the accounts and the monotonic time up to which it holds."""

    identity: Identity
    revision: int
    expires: float


class Authenticator:
    """Identifies callers, and caches who they are.

    Args:
        attempts: wrong passwords allowed per account and address; after that, one every 30 seconds.
    """

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        logins: Logins,
        revision: Revision,
        rates: Rates,
        *,
        attempts: int,
    ) -> None:
        self.database, self.passwords, self.logins = database, passwords, logins
        self.revision, self.rates, self.attempts = revision, rates, attempts
        self._cache: OrderedDict[str, _Cached] = OrderedDict()

    def identify(self, secret: str) -> Identity:
        """The owner of a key or login token. Every request calls this, so identities are cached until an account changes.

        Raises:
            Unauthenticated: the secret is not valid.
            Unavailable: the identity is not cached and the database does not answer.
        """
        cached = self._cache.get(secret)
        if cached is not None and cached.revision == self.revision.read() and time.monotonic() < cached.expires:
            return cached.identity
        identity = self._look_up(secret, cached)
        if identity.until < time.time():
            raise Unauthenticated(INVALID_CREDENTIAL)
        return identity

    def validity(self, secret: str) -> tuple[float, int]:
        """How long `identify` knows a secret's owner without another look: until this monotonic time, at this revision."""
        cached = self._cache.get(secret)
        return (cached.expires, cached.revision) if cached is not None else (0.0, 0)

    def _look_up(self, secret: str, cached: _Cached | None) -> Identity:
        revision = self.revision.read()  # before the query, so a change in between is not missed
        try:
            identity = self._of_key(secret) if secret.startswith(PREFIX) else self._of_login(secret)
        except Unavailable:
            if cached is None or cached.revision != revision:
                raise
            identity = cached.identity  # without the database, nothing can have been revoked
        except Unauthenticated:
            self._cache.pop(secret, None)
            raise
        seconds = min(CACHE_SECONDS, identity.until - time.time())
        self._cache[secret] = _Cached(identity, revision, time.monotonic() + seconds)
        while len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
        return identity

    def _of_key(self, secret: str) -> Identity:
        query = select(ApiKey, Account).join(Account, Account.id == ApiKey.account_id)
        with self.database.reading() as session:
            row = session.execute(query.where(ApiKey.digest == digest(secret), Account.is_active)).first()
        if row is None:
            raise Unauthenticated(INVALID_CREDENTIAL)
        key, account = row
        scopes = frozenset(key.scopes.split(",") if key.scopes else SCOPES)
        until = key.expires_at.timestamp() if key.expires_at else float("inf")
        return Identity(account.id, account.email, account.role, scopes, until)

    def _of_login(self, token: str) -> Identity:
        login = self.logins.read(token)
        with self.database.reading() as session:
            account = session.get(Account, login.account_id)
        if account is None or not account.is_active or account.generation != login.generation:
            raise Unauthenticated(INVALID_CREDENTIAL)
        return Identity(account.id, account.email, account.role, until=login.until)

    def log_in(self, email: str, password: str, *, address: str, request_id: str = "") -> Account:
        """The account with this email and password.

        Wrong passwords, unknown emails and disabled accounts give the same error after the same time.

        Raises:
            Unauthenticated: the email or password is wrong.
            TooFast: there were too many attempts, even if this password is right.
        """
        key = key_of(email)
        limits = (
            ("LOGIN_ATTEMPTS", f"{key} {address}", self.attempts, 1 / 30),
            ("LOGIN_ATTEMPTS of an address", address, 10 * self.attempts, 1 / 6),
            ("LOGIN_ATTEMPTS of an account", key, 20 * self.attempts, 1 / 6),
        )
        charged = []
        for limit, subject, burst, rate in limits:
            if wait := self.rates.acquire(limit, subject, rate=rate, burst=burst):
                raise TooFast("too many attempts to log in (LOGIN_ATTEMPTS): wait", wait)
            charged.append((limit, subject, rate))
        account = None
        if email.isprintable():  # as every stored email is
            with self.database.reading() as session:
                account = session.scalar(select(Account).where(Account.email_key == key))
        right = self.passwords.match(account.password_hash if account else None, password)
        actor = Actor(account.id if account else None, email if account else "unknown", address, request_id)
        if account is None or not right or not account.is_active:
            if account is not None:
                with self.database.writing() as session:
                    audit.note(session, actor, "login refused", account.email)
            raise Unauthenticated(WRONG_PASSWORD)
        for limit, subject, rate in charged:
            self.rates.refund(limit, subject, rate=rate)
        with self.database.writing() as session:
            audit.note(session, actor, "login", account.email)
        return account
