"""Public names of entrants. An account's submissions are stored under its id, and no board shows its email."""

import re
from collections.abc import Iterable
from itertools import islice

from sqlalchemy import select
from sqlalchemy.orm import Session

from gymserve.accounts.directory import key_of
from gymserve.store.models import ACCOUNT_PREFIX, Account

BATCH = 500  # accounts per query
_IS_ACCOUNT = re.compile(rf"{ACCOUNT_PREFIX}[0-9]{{1,9}}").fullmatch


def display_names(session: Session, entrants: Iterable[str]) -> dict[str, str]:
    """Entrant → display name. Accounts have the names that they chose; all other names stay as they are."""
    names = {entrant: entrant for entrant in entrants}
    ids = iter([int(entrant.removeprefix(ACCOUNT_PREFIX)) for entrant in names if _IS_ACCOUNT(entrant)])
    while batch := list(islice(ids, BATCH)):
        query = select(Account.id, Account.name).where(Account.id.in_(batch), Account.name.is_not(None))
        names |= {f"{ACCOUNT_PREFIX}{account_id}": name for account_id, name in session.execute(query) if name}
    return names


def entrant_by_name(session: Session, name: str) -> str:
    """The entrant with this display name, or `name` itself if no account has it."""
    query = select(Account.id).where(Account.name_key == key_of(name))
    account_id = session.scalar(query) if name.isprintable() else None
    return name if account_id is None else f"{ACCOUNT_PREFIX}{account_id}"
