"""Secret files are created once, and atomically."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gymserve.system import secret_file


def test_processes_that_start_simultaneously_have_the_same_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        secrets = {
            pool.submit(secret_file.read_or_create, tmp_path / "secret", lambda: os.urandom(8).hex()) for _ in range(32)
        }
    assert len({each.result() for each in secrets}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_a_full_disk_leaves_no_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(secret_file.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            secret_file.read_or_create(tmp_path / "secret", lambda: "a")
    assert not list(tmp_path.iterdir())
    (tmp_path / "secret").touch()  # older versions left an empty file
    for text in ("b", "c"):
        assert secret_file.read_or_create(tmp_path / "secret", lambda text=text: text) == "b"
