"""Accounts on a database of each kind."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gymserve.accounts import Accounts, AccountSettings
from gymserve.settings import Settings
from tests.support.databases import Migrated


@pytest.fixture
def accounts(migrated_url: str, tmp_path: Path) -> Iterator[Accounts]:
    """Accounts on each kind of database in turn."""
    built = Accounts(Settings(DATA=str(tmp_path), DATABASE=migrated_url).pick(AccountSettings))
    with contextlib.closing(built.database):
        yield built


@pytest.fixture
def on_sqlite(migrated: Migrated, tmp_path: Path) -> Iterator[Accounts]:
    with migrated.new("sqlite", tmp_path) as url:
        built = Accounts(Settings(DATA=str(tmp_path), DATABASE=url).pick(AccountSettings))
        with contextlib.closing(built.database):
            yield built
