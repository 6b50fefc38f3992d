"""The accounts themselves: create, find, change and remove them."""

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
from gymserve.accounts.revision import Revision
from gymserve.protocol.errors import Conflict, InvalidRequest, NotFound
from gymserve.store import Database
from gymserve.store.models import ACCOUNT_PREFIX, REMOTE_PREFIX, TEAM_PREFIX, Account, Invitation, now

INVITATION_DAYS = 2.0


class Directory:
    """Creates, finds, changes and removes accounts.

    Each change is recorded in the audit log and makes every process drop its cached identities.
    """

    def __init__(self, database: Database, passwords: Passwords, revision: Revision) -> None:
        self.database, self.passwords, self.revision = database, passwords, revision

    def create(self, email: str, password: str, *, role: str = "participant", by: Actor | None = None) -> Account:
        """Creates an account.

        Args:
            by: who creates it; None if the user registers.

        Raises:
            InvalidRequest: the email is taken, or a value is invalid.
        """
        account = self._new(email, password, role)
        with self.database.writing() as session:
            self._add(session, account, by or Actor(None, account.email))
        return account

    def _new(self, email: str, password: str, role: str) -> Account:
        email = checked_email(email)
        return Account(email=email, email_key=key_of(email), password_hash=self.passwords.hash(password), role=role)

    def _add(self, session: Session, account: Account, by: Actor) -> None:
        # Check first: in some databases a failed insert uses up an id.
        if session.scalar(select(Account.id).where(Account.email_key == account.email_key)):
            raise InvalidRequest("Email already registered")
        session.add(account)
        try:
            session.flush()
        except IntegrityError:
            raise InvalidRequest("Email already registered") from None
        audit.note(session, by, "account created", f"{account.id} {account.email}, {account.role}")

    def find(self, account_id: int) -> Account:
        """The account with this id.

        Raises:
            NotFound: there is no such account.
        """
        with self.database.reading() as session:
            return _get(session, account_id)

    def find_by_email(self, email: str) -> Account | None:
        """The account with this email, or None."""
        with self.database.reading() as session:
            return session.scalar(select(Account).where(Account.email_key == key_of(email)))

    def list(self, *, skip: int = 0, limit: int = 100) -> list[Account]:
        """A page of accounts, ordered by id."""
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
        """Changes the values that are not None.

        A new password ends the account's logins, and so does disabling it. The name "" removes the display name.

        Raises:
            NotFound: there is no such account.
            InvalidRequest: a value is invalid.
            Conflict: no administrator would be left.
        """
        hashed = None if password is None else self.passwords.hash(password)
        with self.database.writing() as session:
            account = _get(session, account_id)
            changes = []
            if email is not None:
                account.email = checked_email(email)
                account.email_key = key_of(account.email)
                changes.append("email")
            if name is not None:
                _rename(session, account, name)
                changes.append(f"name {account.display_name}")
            if hashed is not None:
                account.password_hash = hashed
                changes.append("password")
            if role is not None:
                account.role = role
                changes.append(f"role {role}")
            if is_active is not None:
                account.is_active = is_active
                changes.append("enabled" if is_active else "disabled")
            if hashed is not None or is_active is False:
                account.generation += 1
            try:
                session.flush()
            except IntegrityError:
                raise InvalidRequest("Email already registered" if email is not None else "the name is taken") from None
            if role is not None or is_active is False:
                _check_administrators(session)
            audit.note(session, by, "account changed", f"{account.id} {account.email}: {', '.join(changes)}")
        self.revision.change()
        return account

    def log_out(self, account_id: int, *, by: Actor) -> None:
        """Ends an account's logins on all devices. Its API keys stay valid.

        Raises:
            NotFound: there is no such account.
        """
        with self.database.writing() as session:
            _get(session, account_id).generation += 1
            audit.note(session, by, "logged out", f"account {account_id}")
        self.revision.change()

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
        self.revision.change()

    # --- the first administrator ------------------------------------------------------------------------------------

    def invite_administrator(self) -> str | None:
        """A one-time secret that creates the first administrator, or None if there is one. Invalidates earlier secrets."""
        secret = secrets.token_urlsafe(24)
        with self.database.writing() as session:
            if session.scalar(select(func.count()).select_from(Account).where(Account.role == "admin")):
                return None
            session.execute(delete(Invitation))
            expires = now() + datetime.timedelta(days=INVITATION_DAYS)
            session.add(Invitation(digest=digest(secret), role="admin", expires_at=expires))
        return secret

    def invited_role(self, secret: str) -> str:
        """The role that an invitation grants.

        Raises:
            NotFound: the invitation does not exist, was used, or has expired.
        """
        with self.database.reading() as session:
            return _invitation(session, secret).role

    def accept(self, secret: str, email: str, password: str, *, address: str = "", request_id: str = "") -> Account:
        """Creates the account that an invitation is for.

        Raises:
            NotFound: see `invited_role`.
            InvalidRequest: see `create`.
        """
        account = self._new(email, password, self.invited_role(secret))
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
    """Sets the display name of an account.

    Raises:
        InvalidRequest: the name is invalid or taken.
    """
    if len(name) > 60 or len(key_of(name)) > 180 or name != name.strip():
        raise InvalidRequest("name must be at most 60 characters with no surrounding spaces, or empty to remove it")
    if not name.isprintable():
        raise InvalidRequest("name must be printable")
    for prefix in (ACCOUNT_PREFIX, TEAM_PREFIX, REMOTE_PREFIX):
        if key_of(name).startswith(prefix):
            raise InvalidRequest(f"a name must not begin with {prefix!r}, which marks other entrants of challenges")
    if name and session.scalar(select(Account.id).where(Account.name_key == key_of(name), Account.id != account.id)):
        raise InvalidRequest(f"the name {name} is taken: choose another one")
    account.name, account.name_key = (name, key_of(name)) if name else (None, None)


def _invitation(session: Session, secret: str) -> Invitation:
    is_valid = (Invitation.digest == digest(secret), Invitation.expires_at > now())
    invitation = session.scalar(select(Invitation).where(*is_valid))
    if invitation is None:
        raise NotFound("this link was used or has expired; the server prints a new one when it starts")
    return invitation


def _check_administrators(session: Session) -> None:
    if not session.scalar(select(func.count()).where(Account.role == "admin", Account.is_active)):
        raise Conflict("this is the last administrator: create another one first")


def digest(secret: str) -> str:
    """The hash under which a random secret is stored. With 128 bits or more, a plain hash is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def key_of(email: str) -> str:
    """The form in which emails are compared: letter case and width do not matter."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", email).casefold())


def checked_email(email: str) -> str:
    """The email if it is valid. Any printable name is accepted as an email.

    Raises:
        InvalidRequest: it is not valid.
    """
    if not email.strip():
        raise InvalidRequest("A required request parameter 'email' was not provided")
    if email != email.strip() or not email.isprintable() or len(email) > 254 or len(key_of(email)) > 254:
        raise InvalidRequest("email must be at most 254 printable characters, with no surrounding spaces")
    for prefix in (TEAM_PREFIX, REMOTE_PREFIX):
        if key_of(email).startswith(prefix):
            raise InvalidRequest(f"an email must not begin with {prefix!r}, which marks other entrants of challenges")
    return email
