"""Accounts: who somebody is, and what they may do. Knows the database and no HTTP."""

import contextlib
from pathlib import Path

from gymserve.accounts import audit
from gymserve.accounts.audit import Actor
from gymserve.accounts.directory import Directory
from gymserve.accounts.entrance import Entrance
from gymserve.accounts.keys import Keys
from gymserve.accounts.logins import Logins, secrets_of
from gymserve.accounts.passwords import Passwords
from gymserve.accounts.tickets import Tickets
from gymserve.accounts.watch import Watch
from gymserve.protocol.errors import SettingsError, Unavailable
from gymserve.settings import Settings
from gymserve.store import Database, connect
from gymserve.system.rates import Rates


class Accounts:
    """All of it, made for one server's settings. The database is not asked before something is wanted of it.

    Raises:
        SettingsError: the settings of the database or the secrets are no good.
    """

    def __init__(self, settings: Settings) -> None:
        data = Path(settings.DATA)
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.database: Database = connect(settings.DATABASE, data)
        try:
            self.rates, watch = Rates(data / "rates"), Watch(data / "accounts-changed")
        except OSError as error:
            raise SettingsError(f"the data directory {data} has no room: {error.strerror}") from error
        self.passwords = Passwords(shortest=settings.PASSWORD_LENGTH)
        self.secrets = secrets_of(settings.SECRETS, data)
        self.logins = Logins(self.secrets, seconds=settings.LOGIN_HOURS * 3600)
        self.directory = Directory(self.database, self.passwords, watch)
        self.keys = Keys(self.database, watch)
        self.tickets = Tickets(data / "tickets")
        self.entrance = Entrance(
            self.database, self.passwords, self.logins, watch, self.rates, attempts=settings.LOGIN_ATTEMPTS
        )

    def note(self, by: Actor, action: str, subject: str) -> None:
        """Notes something in the audit log that is done elsewhere than in the database; it is done all the same."""
        with contextlib.suppress(Unavailable), self.database.writing() as session:
            audit.note(session, by, action, subject)
