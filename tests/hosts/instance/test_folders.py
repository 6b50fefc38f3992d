"""Folders of idle instances are retired, and old folders are removed."""

import os
import time
from pathlib import Path

from gymserve.hosts import folders


def aged(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def instance(data: Path, token: str, idle_seconds: float) -> str:
    """Creates an instance's folder, whose journal was last written to `idle_seconds` ago."""
    folder = data / "instances" / token
    folder.mkdir(parents=True)
    (folder / "journal").touch()
    aged(folder / "journal", idle_seconds)
    return token


def test_only_idle_instances_of_the_slot_are_retired(tmp_path: Path) -> None:
    instances = tmp_path / "instances"
    idle = {instance(tmp_path, folders.new_token("s0", account), 110) for account in range(3)}
    kept = {
        instance(tmp_path, folders.new_token("s0"), 90),
        instance(tmp_path, folders.new_token("s1"), 110),
        loaded := instance(tmp_path, folders.new_token("s0"), 110),
    }
    for account in range(9):  # another process has just closed these, so they have no journal
        (gone := instances / folders.new_token("s0", account)).mkdir()
        kept.add(gone.name)
    assert set(folders.sweep(instances, 100, slot="s0", loaded={loaded})) == idle
    assert set(os.listdir(instances)) == kept and set(os.listdir(tmp_path / "closed")) == idle
    assert time.time() - (tmp_path / "closed" / min(idle)).stat().st_mtime < 60  # the time of closing


def test_old_folders_are_removed(tmp_path: Path) -> None:
    for name, seconds in (
        ("instances/a.new", 3500), ("instances/b.new", 3700), ("instances/c", 1e7),
        ("closed/a", 86400), ("closed/b", 2.1 * 86400),
        ("uploads/7/a", 86400), ("uploads/7/b", 2.1 * 86400), ("idempotency/a", 80000), ("idempotency/b", 90000),
    ):  # fmt: skip
        (tmp_path / name).mkdir(parents=True)
        aged(tmp_path / name, seconds)
    folders.remove_old(tmp_path, 2.0)
    left = {str(path.relative_to(tmp_path)) for path in [*tmp_path.glob("[!u]*/*"), *tmp_path.glob("uploads/7/*")]}
    assert left == {"instances/a.new", "instances/c", "closed/a", "uploads/7/a", "idempotency/a"}
