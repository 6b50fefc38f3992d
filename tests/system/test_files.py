"""A file or folder is replaced completely or not at all."""

import os
import signal
from pathlib import Path

import pytest

from gymserve.system import files


def test_a_reader_sees_the_old_content_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "file.zip"
    files.write_atomically(path, "old")
    with files.replacing(path, sync=True) as fresh:
        fresh.write_text("ne")
        assert path.read_text() == "old" and fresh.suffix == ".zip" and fresh.name.startswith(".")
        fresh.write_text("new")
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["file.zip"]


def test_simultaneous_writers_do_not_mix(tmp_path: Path) -> None:
    with files.replacing(tmp_path / "file") as first, first.open("w") as file:
        file.write("ol")
        files.write_atomically(tmp_path / "file", "new")
        file.write("d")
    assert (tmp_path / "file").read_text() == "old"


def test_a_failed_write_leaves_only_the_old_content(tmp_path: Path) -> None:
    files.write_atomically(tmp_path / "file", b"old")
    with pytest.raises(KeyboardInterrupt), files.replacing(tmp_path / "file") as fresh:
        fresh.write_text("new")
        raise KeyboardInterrupt
    with pytest.raises(OSError), files.replacing_folder(tmp_path / "file"):
        pass  # a folder cannot replace a file
    assert (tmp_path / "file").read_text() == "old" and os.listdir(tmp_path) == ["file"]


def test_a_killed_writer_leaves_the_old_content(tmp_path: Path) -> None:
    files.write_atomically(tmp_path / "file", "old")
    if not (pid := os.fork()):
        with files.replacing(tmp_path / "file") as fresh:
            fresh.write_text("ne")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    visible = [name for name in os.listdir(tmp_path) if not name.startswith(".")]
    assert (tmp_path / "file").read_text() == "old" and visible == ["file"]


def test_a_folder_replaces_the_one_before(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with files.replacing_folder(tmp_path / "folder") as fresh:
            (fresh / name).touch()
    assert os.listdir(tmp_path / "folder") == ["second"] and os.listdir(tmp_path) == ["folder"]


def test_a_draft_starts_empty_and_becomes_the_folder(tmp_path: Path) -> None:
    (files.draft(tmp_path / "folder") / "of a process that was killed").touch()
    (files.draft(tmp_path / "folder") / "file").touch()
    files.publish(tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"] and os.listdir(tmp_path / "folder") == ["file"]
    files.draft(tmp_path / "folder")
    files.discard(tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]
