"""Replaces files and folders atomically: a reader sees either the old content or the complete new one."""

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_counter = itertools.count()


@contextlib.contextmanager
def replacing(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """Yields a path for a new file, which replaces `path` when the block ends; if the block raises, the new file is deleted.

    Args:
        sync: flush the file to disk, so that it survives a power failure.
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


def write_atomically(path: Path, content: str | bytes, *, sync: bool = False) -> None:
    """Writes a file atomically, see `replacing`."""
    with replacing(path, sync=sync) as fresh:
        fresh.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder to fill, which replaces `path` when the block ends; if it raises, the new folder is deleted."""
    fresh = _beside(path)
    fresh.mkdir(parents=True, mode=0o700)
    try:
        yield fresh
        shutil.rmtree(path, ignore_errors=True)
        fresh.rename(path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def draft_of(folder: Path) -> Path:
    """Returns the path of the draft of `folder`, whether or not the draft exists."""
    return folder.with_name(f"{folder.name}.new")


def draft(folder: Path) -> Path:
    """Creates an empty draft to fill, which `publish` renames to `folder`; any earlier draft is deleted."""
    fresh = draft_of(folder)
    try:
        fresh.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
    return fresh


def publish(folder: Path) -> None:
    """Renames the draft to `folder`, which must not exist yet. Another process may have made the draft."""
    draft_of(folder).rename(folder)


def discard(folder: Path) -> None:
    """Deletes the draft of `folder`, if there is one."""
    shutil.rmtree(draft_of(folder), ignore_errors=True)


def _beside(path: Path) -> Path:
    """Returns a unique hidden path in the same folder, with the same suffix."""
    return path.with_name(f".{os.getpid()}-{next(_counter)}.{path.name}")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
