"""What entrants are called in public. An account's submissions belong to its number, and no board tells its email."""

import re
from collections.abc import Iterable
from itertools import islice

from sqlalchemy import select
from sqlalchemy.orm import Session

from gymserve.accounts.directory import key_of
from gymserve.store.models import ACCOUNT_PREFIX, Account

BATCH = 500  # accounts asked for at once
_IS_ACCOUNT = re.compile(rf"{ACCOUNT_PREFIX}[0-9]{{1,9}}").fullmatch


def names(session: Session, entrants: Iterable[str]) -> dict[str, str]:
    """Entrant → what it is called: accounts by the names that they chose, all others as they are."""
    called = {entrant: entrant for entrant in entrants}
    numbers = iter([int(entrant.removeprefix(ACCOUNT_PREFIX)) for entrant in called if _IS_ACCOUNT(entrant)])
    while some := list(islice(numbers, BATCH)):
        query = select(Account.id, Account.name).where(Account.id.in_(some), Account.name.is_not(None))
        called |= {f"{ACCOUNT_PREFIX}{number}": name for number, name in session.execute(query) if name}
    return called


def entrant_named(session: Session, called: str) -> str:
    """The entrant that is called so; or itself, where it is one's number or no account."""
    number = (
        session.scalar(select(Account.id).where(Account.name_key == key_of(called))) if called.isprintable() else None
    )
    return called if number is None else f"{ACCOUNT_PREFIX}{number}"
