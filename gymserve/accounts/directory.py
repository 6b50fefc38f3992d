"""The accounts themselves: made, found, changed, removed."""

import datetime
import hashlib
import secrets
import unicodedata

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gymserve.accounts import audit
from gymserve.accounts.audit import Actor
from gymserve.accounts.passwords import Passwords
from gymserve.accounts.watch import Watch
from gymserve.protocol.errors import Conflict, InvalidRequest, NotFound
from gymserve.store import Database
from gymserve.store.models import ACCOUNT_PREFIX, REMOTE_PREFIX, TEAM_PREFIX, Account, Invitation, now

INVITATION_DAYS = 2.0


class Directory:
    """Every change is noted in the audit log, and heard by all processes of the server."""

    def __init__(self, database: Database, passwords: Passwords, watch: Watch) -> None:
        self.database, self.passwords, self.watch = database, passwords, watch

    def create(self, email: str, password: str, *, role: str = "participant", by: Actor | None = None) -> Account:
        """Makes an account. `by` None: it makes itself.

        Raises:
            InvalidRequest: the email is taken, or one of the values is no good.
        """
        account = self._new(email, password, role)
        with self.database.writing() as session:
            self._add(session, account, by or Actor(None, account.email))
        return account

    def _new(self, email: str, password: str, role: str) -> Account:
        email = checked_email(email)
        return Account(email=email, email_key=key_of(email), password_hash=self.passwords.hash(password), role=role)

    def _add(self, session: Session, account: Account, by: Actor) -> None:
        # Asked first, since an id that is refused later is lost to some databases.
        if session.scalar(select(Account.id).where(Account.email_key == account.email_key)):
            raise InvalidRequest("Email already registered")
        session.add(account)
        try:
            session.flush()
        except IntegrityError:
            raise InvalidRequest("Email already registered") from None
        audit.note(session, by, "account created", f"{account.id} {account.email}, {account.role}")

    def find(self, account_id: int) -> Account:
        """Raises: NotFound: there is none."""
        with self.database.reading() as session:
            return _get(session, account_id)

    def named(self, email: str) -> Account | None:
        """The account with this email."""
        with self.database.reading() as session:
            return session.scalar(select(Account).where(Account.email_key == key_of(email)))

    def list(self, *, skip: int = 0, limit: int = 100) -> list[Account]:
        """Accounts by their ids."""
        with self.database.reading() as session:
            return list(session.scalars(select(Account).order_by(Account.id).offset(skip).limit(limit)))

    def change(
        self,
        account_id: int,
        *,
        email: str | None = None,
        name: str | None = None,
        password: str | None = None,
        role: str | None = None,
        is_active: bool | None = None,
        by: Actor,
    ) -> Account:
        """Changes what is not None. A new password, or being disabled, ends the account's logins; the name "" takes back the
        one that was chosen.

        Raises:
            NotFound: there is no such account.
            InvalidRequest: a value is no good.
            Conflict: no administrator would be left.
        """
        hashed = None if password is None else self.passwords.hash(password)
        with self.database.writing() as session:
            account = _get(session, account_id)
            done = []
            if email is not None:
                account.email = checked_email(email)
                account.email_key = key_of(account.email)
                done.append("email")
            if name is not None:
                _rename(session, account, name)
                done.append(f"name {account.display_name}")
            if hashed is not None:
                account.password_hash = hashed
                done.append("password")
            if role is not None:
                account.role = role
                done.append(f"role {role}")
            if is_active is not None:
                account.is_active = is_active
                done.append("enabled" if is_active else "disabled")
            if hashed is not None or is_active is False:
                account.generation += 1
            try:
                session.flush()
            except IntegrityError:
                raise InvalidRequest("Email already registered" if email is not None else "the name is taken") from None
            if role is not None or is_active is False:
                _check_administrators(session)
            audit.note(session, by, "account changed", f"{account.id} {account.email}: {', '.join(done)}")
        self.watch.change()
        return account

    def log_out(self, account_id: int, *, by: Actor) -> None:
        """Ends an account's logins, on all devices; its keys go on.

        Raises:
            NotFound: there is no such account.
        """
        with self.database.writing() as session:
            _get(session, account_id).generation += 1
            audit.note(session, by, "logged out", f"account {account_id}")
        self.watch.change()

    def remove(self, account_id: int, *, by: Actor) -> None:
        """Deletes an account with its keys and projects.

        Raises:
            NotFound: there is no such account.
            Conflict: no administrator would be left.
        """
        with self.database.writing() as session:
            account = _get(session, account_id)
            session.delete(account)
            session.flush()
            if account.role == "admin":
                _check_administrators(session)
            audit.note(session, by, "account removed", f"{account_id} {account.email}")
        self.watch.change()

    # --- the first administrator ------------------------------------------------------------------------------------

    def invite_administrator(self) -> str | None:
        """A secret that makes the first administrator once; None if there is one already. Earlier ones are void."""
        secret = secrets.token_urlsafe(24)
        with self.database.writing() as session:
            if session.scalar(select(func.count()).select_from(Account).where(Account.role == "admin")):
                return None
            session.execute(delete(Invitation))
            expires = now() + datetime.timedelta(days=INVITATION_DAYS)
            session.add(Invitation(digest=digest(secret), role="admin", expires_at=expires))
        return secret

    def invited(self, secret: str) -> str:
        """The role that an invitation gives.

        Raises:
            NotFound: there is no such invitation, or it was used, or it is too old.
        """
        with self.database.reading() as session:
            return _invitation(session, secret).role

    def accept(self, secret: str, email: str, password: str, *, address: str = "", request_id: str = "") -> Account:
        """Makes the account that an invitation is for.

        Raises:
            NotFound: see `invited`.
            InvalidRequest: see `create`.
        """
        account = self._new(email, password, self.invited(secret))
        with self.database.writing() as session:
            session.delete(_invitation(session, secret))
            self._add(session, account, Actor(None, f"{account.email} (invited)", address, request_id))
        return account


def _get(session: Session, account_id: int) -> Account:
    account = session.get(Account, account_id) if 0 < account_id < 2**31 else None
    if account is None:
        raise NotFound(f"there is no account {account_id}")
    return account


def _rename(session: Session, account: Account, name: str) -> None:
    """Gives an account the name that others see.

    Raises:
        InvalidRequest: it is none, or taken.
    """
    if len(name) > 60 or len(key_of(name)) > 180 or name != name.strip():
        raise InvalidRequest("name must be at most 60 characters, without spaces around them; empty: none of one's own")
    if not name.isprintable():
        raise InvalidRequest("name must be printable")
    for prefix in (ACCOUNT_PREFIX, TEAM_PREFIX, REMOTE_PREFIX):
        if key_of(name).startswith(prefix):
            raise InvalidRequest(f"a name must not begin with {prefix!r}, which names other entrants of challenges")
    if name and session.scalar(select(Account.id).where(Account.name_key == key_of(name), Account.id != account.id)):
        raise InvalidRequest(f"the name {name} is taken: choose another one")
    account.name, account.name_key = (name, key_of(name)) if name else (None, None)


def _invitation(session: Session, secret: str) -> Invitation:
    found = session.scalar(select(Invitation).where(Invitation.digest == digest(secret), Invitation.expires_at > now()))
    if found is None:
        raise NotFound("this link was used, or has expired; the server prints a new one when it starts")
    return found


def _check_administrators(session: Session) -> None:
    if not session.scalar(select(func.count()).where(Account.role == "admin", Account.is_active)):
        raise Conflict("this is the last administrator: make another one first")


def digest(secret: str) -> str:
    """How a random secret is kept. It has 128 bits or more, so that a plain hash suffices."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def key_of(email: str) -> str:
    """An email as it is compared: letters of other widths and cases are the same."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", email).casefold())


def checked_email(email: str) -> str:
    """An email, or any other name, by which an account is known.

    Raises:
        InvalidRequest: it is no such text.
    """
    if not email.strip():
        raise InvalidRequest("A required request parameter 'email' was not provided")
    if email != email.strip() or not email.isprintable() or len(email) > 254 or len(key_of(email)) > 254:
        raise InvalidRequest("email must be at most 254 printable characters, without spaces around them")
    for prefix in (TEAM_PREFIX, REMOTE_PREFIX):
        if key_of(email).startswith(prefix):
            raise InvalidRequest(f"an email must not begin with {prefix!r}, which names other entrants of challenges")
    return email
