"""A spool loses no job, and ignores files that are not jobs."""

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


def test_a_job_can_be_read_until_it_is_removed(tmp_path: Path) -> None:
    errands = spool(tmp_path / "errands")
    assert errands.names() == [] and errands.read("errand-a") is None
    for name in "ba":
        errands.put(Errand(name))
    assert errands.names() == ["errand-a", "errand-b"] and errands.read("errand-b") == Errand("b")
    for _ in range(2):
        errands.remove(Errand("a"))
    assert errands.names() == ["errand-b"]


def test_an_attempt_is_on_disk_before_it_is_made(tmp_path: Path) -> None:
    errands = spool(tmp_path)
    errands.put(Errand("a"))
    assert errands.begin(Errand("a")) == Errand("a", 1) == spool(tmp_path).read("errand-a")


def test_the_time_of_a_jobs_file_is_its_due_time(tmp_path: Path) -> None:
    spool(tmp_path).put(Errand("a"), wait_seconds=1000)
    assert os.stat(tmp_path / "errand-a").st_mtime - time.time() == pytest.approx(1000, abs=60)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"name": "a", "unknown": 1}', "\0"])
def test_a_file_that_is_not_a_job_is_read_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "errand-a").write_text(text)
    assert spool(tmp_path).read("errand-a") is None


@pytest.mark.needs("mount")
def test_a_full_disk_leaves_the_job_as_it_was(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        errands = spool(disk)
        errands.put(Errand("a"))
        with contextlib.suppress(OSError), open(disk / "filler", "wb", buffering=0) as filler:
            while filler.write(b"\0" * 4096):
                pass
        with pytest.raises(StorageFull, match="an errand cannot be written: No space left"):
            errands.begin(Errand("a"))
        assert errands.names() == ["errand-a", "filler"] and errands.read("errand-a") == Errand("a")
