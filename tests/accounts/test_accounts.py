"""Accounts as a whole: the data directory that they open."""

import errno
import os
import stat
from pathlib import Path

import pytest

from gymserve.accounts import Accounts, AccountSettings
from gymserve.protocol.errors import SettingsError
from gymserve.settings import Settings


def test_only_the_servers_user_can_look_into_a_new_data_directory(tmp_path: Path) -> None:
    Accounts(Settings(DATA=str(tmp_path / "new" / "data")).pick(AccountSettings)).database.close()
    assert stat.S_IMODE((tmp_path / "new" / "data").stat().st_mode) == 0o700


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SettingsError, match="cannot be written: No space left on device"):
        Accounts(Settings(DATA=str(tmp_path)).pick(AccountSettings))
