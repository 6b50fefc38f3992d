"""Accounts on a database of each kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gymserve.accounts import Accounts
from gymserve.settings import Settings
from gymserve.store import schema


@pytest.fixture
def accounts(database_url: str, tmp_path: Path) -> Iterator[Accounts]:
    made = Accounts(Settings(DATA=str(tmp_path), DATABASE=database_url))
    schema.upgrade(made.database)
    yield made
    made.database.close()


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[Accounts]:
    made = Accounts(Settings(DATA=str(tmp_path)))
    schema.upgrade(made.database)
    yield made
    made.database.close()
