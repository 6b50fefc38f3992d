"""A spool: no job is lost, and a file that is no job stops nobody."""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from gymserve.protocol.errors import StorageFull
from gymserve.system.spool import Spool
from tests.support.servers import small_disk


@dataclass(frozen=True)
class Errand:
    name: str
    attempts: int = 0

    @property
    def file(self) -> str:
        return f"errand-{self.name}"


def spool(folder: Path) -> Spool[Errand]:
    return Spool(folder, Errand, "an errand")


def test_a_job_is_read_back_until_it_is_done(tmp_path: Path) -> None:
    errands = spool(tmp_path / "errands")
    assert errands.names() == [] and errands.read("errand-a") is None
    for name in "ba":
        errands.place(Errand(name))
    assert errands.names() == ["errand-a", "errand-b"] and errands.read("errand-b") == Errand("b")
    for _ in range(2):
        errands.done(Errand("a"))
    assert errands.names() == ["errand-b"]


def test_an_attempt_is_on_disk_before_it_is_made(tmp_path: Path) -> None:
    errands = spool(tmp_path)
    errands.place(Errand("a"))
    assert errands.begin(Errand("a")) == Errand("a", 1) == spool(tmp_path).read("errand-a")


def test_a_jobs_file_says_when_it_is_due(tmp_path: Path) -> None:
    spool(tmp_path).place(Errand("a"), wait_seconds=1000)
    assert os.stat(tmp_path / "errand-a").st_mtime - time.time() == pytest.approx(1000, abs=60)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"name": "a", "unknown": 1}', "\0"])
def test_a_file_that_is_no_job_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "errand-a").write_text(text)
    assert spool(tmp_path).read("errand-a") is None


@pytest.mark.needs("mount")
def test_a_full_disk_leaves_the_job_as_it_was(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        errands = spool(disk)
        errands.place(Errand("a"))
        with contextlib.suppress(OSError), open(disk / "filler", "wb", buffering=0) as filler:
            while filler.write(b"\0" * 4096):
                pass
        with pytest.raises(StorageFull, match="an errand cannot be written: No space left"):
            errands.begin(Errand("a"))
        assert errands.names() == ["errand-a", "filler"] and errands.read("errand-a") == Errand("a")
