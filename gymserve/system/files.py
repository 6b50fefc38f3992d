"""Files and folders that others read while they are written: a reader finds the old content or the new one, whole."""

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_numbers = itertools.count()


@contextlib.contextmanager
def replacing(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """Gives the place for a new file, which becomes `path` when the block ends; if that raises, nothing is left of it.

    Args:
        sync: it is on the disk then, where it outlasts a loss of power.
    """
    fresh = _beside(path)
    try:
        yield fresh
        if sync:
            _sync(fresh)
        os.replace(fresh, path)
        if sync:
            _sync(path.parent)
    finally:
        fresh.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes, *, sync: bool = False) -> None:
    """Puts a file with this content at `path`, see `replacing`."""
    with replacing(path, sync=sync) as fresh:
        fresh.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Gives an empty folder to fill, which becomes `path` when the block ends; if that raises, nothing is left of it."""
    fresh = _beside(path)
    fresh.mkdir(parents=True, mode=0o700)
    try:
        yield fresh
        shutil.rmtree(path, ignore_errors=True)
        fresh.rename(path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def draft_of(folder: Path) -> Path:
    """Where the draft of `folder` is, if there is one."""
    return folder.with_name(f"{folder.name}.new")


def draft(folder: Path) -> Path:
    """Makes an empty folder to fill, which `publish` turns into `folder`; what is left of an earlier draft goes."""
    fresh = draft_of(folder)
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True, mode=0o700)
    return fresh


def publish(folder: Path) -> None:
    """The draft of `folder`, also another process's, takes its place, where there must be none yet."""
    draft_of(folder).rename(folder)


def discard(folder: Path) -> None:
    """Removes the draft of `folder`, if there is one."""
    shutil.rmtree(draft_of(folder), ignore_errors=True)


def _beside(path: Path) -> Path:
    """A name that is hidden from whoever lists the folder, has the same suffix, and is given once."""
    return path.with_name(f".{os.getpid()}-{next(_numbers)}.{path.name}")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
