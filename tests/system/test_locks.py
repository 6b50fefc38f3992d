"""A lock has one owner across processes, and is released when the owner ends."""

import os
import threading
from pathlib import Path

import pytest

from gymserve.system.locks import is_locked, locked, try_lock


def test_a_lock_is_held_until_its_owner_closes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path) and not path.exists()
    descriptor = try_lock(path)
    assert descriptor is not None and is_locked(path) and try_lock(path) is None
    os.close(descriptor)
    assert not is_locked(path)


def test_a_process_that_inherits_a_lock_holds_it_until_it_ends(tmp_path: Path) -> None:
    descriptor = try_lock(tmp_path / "lock")
    assert descriptor is not None
    ends = os.pipe()
    if not (pid := os.fork()):
        os.close(ends[1])
        os.read(ends[0], 1)
        os._exit(0)
    os.close(descriptor)
    assert is_locked(tmp_path / "lock")
    os.close(ends[1])
    os.waitpid(pid, 0)
    assert not is_locked(tmp_path / "lock")


@pytest.mark.parametrize("is_folder", [False, True])
def test_the_second_one_waits(tmp_path: Path, is_folder: bool) -> None:
    path = tmp_path if is_folder else tmp_path / "lock"
    came = threading.Event()

    def second() -> None:
        with locked(path):
            came.set()

    thread = threading.Thread(target=second)
    with locked(path):
        thread.start()
        assert not came.wait(0.2)
    assert came.wait(10)
    thread.join()
