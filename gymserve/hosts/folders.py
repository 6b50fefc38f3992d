"""The folders of the data directory: `instances/<token>/` holds the live instances, `closed/<token>/` the ended ones.

The file system is the index: no list of instances is kept anywhere else.
"""

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Container
from pathlib import Path

from gymserve.errors import StorageFull
from gymserve.journal.file import read
from gymserve.journal.records import Created

CATALOGUE = "c0"  # the slot of the host that makes environments to tell their spaces: no token names it
_TOKEN = re.compile(r"([sd]\d{1,7})(?:([.~])(\d{1,10}))?-[A-Za-z0-9_-]{22}")


def new_token(slot: str, account: int = 0, *, alone: bool = False) -> str:
    """A token that names its host's slot and its account, and cannot be guessed (128 random bits).

    Args:
        account: whose instance it is; 0: nobody's.
        alone: the token alone lets its bearer in, for old clients that send nothing else.
    """
    owner = f"{'~' if alone else '.'}{account}" if account or alone else ""
    return f"{slot}{owner}-{secrets.token_urlsafe(16)}"


def owner_of(token: str) -> int:
    """The account that a token names; 0: none."""
    match = _TOKEN.fullmatch(token)
    return int(match[3] or 0) if match else 0


def suffices(token: str) -> bool:
    """Whether this token alone lets its bearer in."""
    match = _TOKEN.fullmatch(token)
    return match is not None and match[2] == "~"


def slot_of(token: str) -> str | None:
    """The slot that a token names; None: it is no token of ours."""
    match = _TOKEN.fullmatch(token)
    return match[1] if match else None


def tokens(instances: Path) -> list[str]:
    """The tokens of the live instances."""
    try:
        return [name for name in os.listdir(instances) if slot_of(name)]
    except FileNotFoundError:
        return []


def made_as(folder: Path) -> dict[str, object] | None:
    """The first record of an instance's journal: how it was made; None if it is gone."""
    try:
        first = next(read(folder / "journal"), None)
    except (OSError, ValueError):
        return None
    return first.meta if isinstance(first, Created) else None


def prepare(folder: Path) -> Path:
    """A folder that becomes `folder` once it is whole.

    Raises:
        StorageFull: it cannot be made.
    """
    fresh = folder.with_name(f"{folder.name}.new")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise StorageFull(f"cannot create the instance's folder: {error.strerror}") from error
    return fresh


def publish(folder: Path) -> None:
    """From here on the instance exists, also after a crash."""
    folder.with_name(f"{folder.name}.new").rename(folder)


def retire(folder: Path) -> None:
    """Moves a closed instance's folder from `instances/` to `closed/`."""
    closed = folder.parent.parent / "closed"
    closed.mkdir(exist_ok=True, mode=0o700)
    os.rename(folder, closed / folder.name)
    os.utime(closed / folder.name)  # when it was closed


def sweep(instances: Path, idle_seconds: float, *, slot: str, but: Container[str]) -> list[str]:
    """Retires the slot's instances that nobody has loaded or used for so long; returns their tokens."""
    swept = []
    oldest = time.time() - idle_seconds
    for token in tokens(instances):
        if slot_of(token) == slot and token not in but:
            try:
                if (instances / token / "journal").stat().st_mtime < oldest:
                    retire(instances / token)
                    swept.append(token)
            except OSError:
                continue  # closed in the meantime
    return swept


def storage(data: Path) -> dict[int, int]:
    """Account → bytes of its instances' folders, closed ones included."""
    used: dict[int, int] = {}
    for kind in ("instances", "closed"):
        for token in tokens(data / kind):
            if owner := owner_of(token):
                with contextlib.suppress(OSError):  # closed in the meantime
                    used[owner] = used.get(owner, 0) + _occupied(data / kind / token)
    return used


def _occupied(folder: str | Path) -> int:
    """Bytes of all that is in a folder, its monitors' files and videos included."""
    total = 0
    for entry in os.scandir(folder):
        total += entry.stat(follow_symlinks=False).st_blocks * 512
        if entry.is_dir(follow_symlinks=False):
            total += _occupied(entry.path)
    return total


def remove_old(data: Path, days: float) -> None:
    """Deletes what was closed more than `days` ago, and what was never finished."""
    for unfinished in (data / "instances").glob("*.new"):
        with contextlib.suppress(OSError):
            if unfinished.stat().st_mtime < time.time() - 3600:
                shutil.rmtree(unfinished)
    oldest = time.time() - days * 86400
    for kind in ("closed", "idempotency"):
        for entry in os.scandir(data / kind) if (data / kind).exists() else ():
            if entry.stat().st_mtime < (oldest if kind == "closed" else time.time() - 86400):
                shutil.rmtree(entry.path) if entry.is_dir() else os.unlink(entry.path)
