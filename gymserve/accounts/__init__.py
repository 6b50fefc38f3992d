"""Accounts: who a caller is and what they may do. Uses the database, knows no HTTP."""

import contextlib
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
from gymserve.settings import Settings
from gymserve.store import Database, connect
from gymserve.system.rates import Rates


class Accounts:
    """Every part of accounts, built from one server's settings. Connects to the database on first use.

    Raises:
        SettingsError: the database or secret settings are invalid.
    """

    def __init__(self, settings: Settings) -> None:
        data = Path(settings.DATA)
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.database: Database = connect(settings.DATABASE, data)
        try:
            self.rates, revision = Rates(data / "rates"), Revision(data / "accounts-changed")
        except OSError as error:
            raise SettingsError(f"the data directory {data} has no room: {error.strerror}") from error
        self.passwords = Passwords(min_length=settings.PASSWORD_LENGTH)
        self.secrets = signing_secrets(settings.SECRETS, data)
        self.logins = Logins(self.secrets, seconds=settings.LOGIN_HOURS * 3600)
        self.directory = Directory(self.database, self.passwords, revision)
        self.keys = Keys(self.database, revision)
        self.tickets = Tickets(data / "tickets")
        self.authenticator = Authenticator(
            self.database, self.passwords, self.logins, revision, self.rates, attempts=settings.LOGIN_ATTEMPTS
        )

    def note(self, by: Actor, action: str, subject: str) -> None:
        """Records an action outside the database in the audit log. The action stands even if it cannot be recorded."""
        with contextlib.suppress(Unavailable), self.database.writing() as session:
            audit.note(session, by, action, subject)
