"""The entrance: turns what a request carries (a key, a login's token, a password) into an identity."""

import time
from collections import OrderedDict

from sqlalchemy import select

from gymserve.accounts import audit
from gymserve.accounts.audit import Actor
from gymserve.accounts.directory import digest, key_of
from gymserve.accounts.identity import SCOPES, Identity
from gymserve.accounts.keys import PREFIX
from gymserve.accounts.logins import Logins
from gymserve.accounts.passwords import Passwords
from gymserve.accounts.watch import Watch
from gymserve.protocol.errors import TooFast, Unauthenticated, Unavailable
from gymserve.store import Database
from gymserve.store.models import Account, ApiKey
from gymserve.system.rates import Rates

REMEMBERED = 10_000  # identities
REMEMBERED_SECONDS = 5.0  # how long changes by programs on other machines may go unnoticed
WRONG = "wrong email or password"
REFUSED = "the key or token is not valid, was revoked, or has expired"


class Entrance:
    """Args:
    attempts: wrong passwords that one may try for an account from an address; then one each half minute.
    """

    def __init__(
        self, database: Database, passwords: Passwords, logins: Logins, watch: Watch, rates: Rates, *, attempts: int
    ) -> None:
        self.database, self.passwords, self.logins = database, passwords, logins
        self.watch, self.rates, self.attempts = watch, rates, attempts
        self._known: OrderedDict[str, tuple[Identity, int, float]] = OrderedDict()

    def identify(self, secret: str) -> Identity:
        """Who has this key or token. On the way of every call: what is known is remembered until something changes.

        Raises:
            Unauthenticated: nobody.
            Unavailable: the database must be asked, and does not answer.
        """
        known = self._known.get(secret)
        if known is not None and known[1] == self.watch.read() and time.monotonic() < known[2]:
            return known[0]
        identity = self._look_up(secret, known)
        if identity.until < time.time():
            raise Unauthenticated(REFUSED)
        return identity

    def _look_up(self, secret: str, known: tuple[Identity, int, float] | None) -> Identity:
        seen = self.watch.read()  # before the question: a change in between is not missed
        try:
            identity = self._of_key(secret) if secret.startswith(PREFIX) else self._of_login(secret)
        except Unavailable:
            if known is None or known[1] != seen:
                raise
            identity = known[0]  # nothing can be revoked either while the database is away
        except Unauthenticated:
            self._known.pop(secret, None)
            raise
        remembered = min(REMEMBERED_SECONDS, identity.until - time.time())
        self._known[secret] = (identity, seen, time.monotonic() + remembered)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return identity

    def _of_key(self, secret: str) -> Identity:
        query = select(ApiKey, Account).join(Account, Account.id == ApiKey.account_id)
        with self.database.reading() as session:
            row = session.execute(query.where(ApiKey.digest == digest(secret), Account.is_active)).first()
        if row is None:
            raise Unauthenticated(REFUSED)
        key, account = row
        scopes = frozenset(key.scopes.split(",") if key.scopes else SCOPES)
        until = key.expires_at.timestamp() if key.expires_at else float("inf")
        return Identity(account.id, account.email, account.role, scopes, until)

    def _of_login(self, token: str) -> Identity:
        login = self.logins.read(token)
        with self.database.reading() as session:
            account = session.get(Account, login.account_id)
        if account is None or not account.is_active or account.generation != login.generation:
            raise Unauthenticated(REFUSED)
        return Identity(account.id, account.email, account.role, until=login.until)

    def log_in(self, email: str, password: str, *, address: str, request_id: str = "") -> Account:
        """The account whose password this is. Wrong, unknown and disabled look and last the same.

        Raises:
            Unauthenticated: it is nobody's.
            TooFast: too many attempts; also for the right password.
        """
        key = key_of(email)
        limits = (
            ("LOGIN_ATTEMPTS", f"{key} {address}", self.attempts, 1 / 30),
            ("LOGIN_ATTEMPTS of an address", address, 10 * self.attempts, 1 / 6),
            ("LOGIN_ATTEMPTS of an account", key, 20 * self.attempts, 1 / 6),
        )
        taken = []
        for limit, subject, burst, rate in limits:
            if wait := self.rates.acquire(limit, subject, rate=rate, burst=burst):
                raise TooFast("too many attempts to log in (LOGIN_ATTEMPTS): wait", wait)
            taken.append((limit, subject, rate))
        account = None
        if email.isprintable():  # as all names are
            with self.database.reading() as session:
                account = session.scalar(select(Account).where(Account.email_key == key))
        right = self.passwords.match(account.password_hash if account else None, password)
        actor = Actor(account.id if account else None, email if account else "unknown", address, request_id)
        if account is None or not right or not account.is_active:
            if account is not None:
                with self.database.writing() as session:
                    audit.note(session, actor, "login refused", account.email)
            raise Unauthenticated(WRONG)
        for limit, subject, rate in taken:
            self.rates.refund(limit, subject, rate=rate)
        with self.database.writing() as session:
            audit.note(session, actor, "login", account.email)
        return account
