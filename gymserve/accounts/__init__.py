"""Accounts: who a caller is and what they may do. Uses the database, knows no HTTP."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from gymserve.system import extras

extras.require("server")

from gymserve.accounts import audit
from gymserve.accounts.audit import Actor
from gymserve.accounts.authenticator import Authenticator
from gymserve.accounts.directory import Directory
from gymserve.accounts.keys import Keys
from gymserve.accounts.logins import Logins, signing_secrets
from gymserve.accounts.passwords import Passwords
from gymserve.accounts.revision import Revision
from gymserve.accounts.tickets import Tickets
from gymserve.protocol.errors import SettingsError, Unavailable
from gymserve.store import Database, connect
from gymserve.system.rates import Rates


@dataclass(frozen=True, kw_only=True)
class AccountSettings:
    """The settings of accounts, see `docs/settings.md`."""

    data: str
    database: str = field(repr=False)
    secrets: list[str] = field(repr=False)
    password_length: int
    login_hours: float
    login_attempts: int


class Accounts:
    """All parts of accounts, wired together. Connects to the database on first use.

    Raises:
        SettingsError: the database or secret settings are invalid.
    """

    def __init__(self, settings: AccountSettings) -> None:
        data = Path(settings.data)
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.database: Database = connect(settings.database, data)
        try:
            self.rates, revision = Rates(data / "rates"), Revision(data / "accounts-changed")
        except OSError as error:
            raise SettingsError(f"the data directory {data} cannot be written: {error.strerror}") from error
        self.passwords = Passwords(min_length=settings.password_length)
        self.secrets = signing_secrets(settings.secrets, data)
        self.logins = Logins(self.secrets, seconds=settings.login_hours * 3600)
        self.directory = Directory(self.database, self.passwords, revision)
        self.keys = Keys(self.database, revision)
        self.tickets = Tickets(data / "tickets")
        self.authenticator = Authenticator(
            self.database, self.passwords, self.logins, revision, self.rates, attempts=settings.login_attempts
        )

    def note(self, by: Actor, action: str, subject: str) -> None:
        """Records an action outside the database in the audit log. The action stands even if it cannot be recorded."""
        with contextlib.suppress(Unavailable), self.database.writing() as session:
            audit.note(session, by, action, subject)
