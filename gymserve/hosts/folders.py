"""The folders of the data directory: live instances in `instances/<token>/`, ended ones in `closed/<token>/`.

The file system is the only index of instances.
"""

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Container
from pathlib import Path

from gymserve.journal.file import read
from gymserve.journal.records import Created
from gymserve.protocol.errors import StorageFull
from gymserve.protocol.recipe import Recipe
from gymserve.system import files

CATALOGUE = "c0"  # the slot of the host that makes environments to read their spaces; no token names it
GRADED = "g"  # the prefix of slots for light graded instances, which have a host each
_TOKEN = re.compile(r"([sdg]\d{1,7})(?:([.~])(\d{1,10}))?-[A-Za-z0-9_-]{22}")


def is_shared(token: str) -> bool:
    """Whether an instance shares its host with others."""
    return token.startswith("s")


def new_token(slot: str, account: int = 0, *, alone: bool = False) -> str:
    """Generates a token that names its host's slot and its account, and cannot be guessed (128 random bits).

    Args:
        account: the instance's account, or 0 for none.
        alone: whether the token alone gives access, for old clients that send nothing else.
    """
    owner = f"{'~' if alone else '.'}{account}" if account or alone else ""
    return f"{slot}{owner}-{secrets.token_urlsafe(16)}"


def owner_of(token: str) -> int:
    """The account that a token names, or 0 for none."""
    match = _TOKEN.fullmatch(token)
    return int(match[3] or 0) if match else 0


def suffices(token: str) -> bool:
    """Whether this token alone gives access."""
    match = _TOKEN.fullmatch(token)
    return match is not None and match[2] == "~"


def slot_of(token: str) -> str | None:
    """The slot that a token names, or None if the token is malformed."""
    match = _TOKEN.fullmatch(token)
    return match[1] if match else None


def tokens(instances: Path) -> list[str]:
    """The tokens of the live instances."""
    try:
        return [name for name in os.listdir(instances) if slot_of(name)]
    except FileNotFoundError:
        return []


def recipe_of(folder: Path) -> Recipe | None:
    """An instance's recipe; None if its journal is gone."""
    try:
        first = next(read(folder / "journal"), None)
    except (OSError, ValueError):
        return None
    return first.recipe if isinstance(first, Created) else None


def draft(folder: Path) -> Path:
    """Creates the draft of an instance's folder; `publish` renames it to `folder`.

    Raises:
        StorageFull: the draft cannot be created.
    """
    try:
        return files.draft(folder)
    except OSError as error:
        raise StorageFull(f"cannot create the instance's folder: {error.strerror}") from error


def publish(folder: Path) -> None:
    """Renames a draft to `folder`. From here on the instance exists, even after a crash."""
    files.publish(folder)


def retire(folder: Path) -> None:
    """Moves a closed instance's folder from `instances/` to `closed/`."""
    closed = folder.parent.parent / "closed"
    try:
        os.rename(folder, closed / folder.name)
    except FileNotFoundError:
        closed.mkdir(exist_ok=True, mode=0o700)
        os.rename(folder, closed / folder.name)
    os.utime(closed / folder.name)  # when it was closed


def sweep(instances: Path, idle_seconds: float, *, slot: str, loaded: Container[str]) -> list[str]:
    """Retires a slot's instances that are not `loaded` and were idle for `idle_seconds`; returns their tokens."""
    swept = []
    oldest = time.time() - idle_seconds
    for token in tokens(instances):
        if slot_of(token) == slot and token not in loaded:
            try:
                if (instances / token / "journal").stat().st_mtime < oldest:
                    retire(instances / token)
                    swept.append(token)
            except OSError:
                continue  # closed in the meantime
    return swept


def storage(data: Path) -> dict[int, int]:
    """Account → bytes of its instances' folders (live and closed) and its uploads."""
    used: dict[int, int] = {}
    for kind in ("instances", "closed"):
        for token in tokens(data / kind):
            if owner := owner_of(token):
                with contextlib.suppress(OSError):  # closed in the meantime
                    used[owner] = used.get(owner, 0) + occupied(data / kind / token)
    for name in uploaders(data):
        with contextlib.suppress(OSError):  # replaced in the meantime
            used[int(name)] = used.get(int(name), 0) + occupied(data / "uploads" / name)
    return used


def uploaders(data: Path) -> list[str]:
    """The numbers of the accounts that have uploads; 0 stands for uploads without an account."""
    try:
        return [name for name in os.listdir(data / "uploads") if name.isdecimal()]
    except FileNotFoundError:
        return []


def occupied(folder: str | Path) -> int:
    """Bytes that a folder and its subfolders occupy on the disk."""
    total = 0
    for entry in os.scandir(folder):
        total += entry.stat(follow_symlinks=False).st_blocks * 512
        if entry.is_dir(follow_symlinks=False):
            total += occupied(entry.path)
    return total


def remove_old(data: Path, days: float) -> None:
    """Deletes folders of instances that were closed more than `days` ago, and drafts that were never published."""
    for unfinished in (data / "instances").glob("*.new"):
        with contextlib.suppress(OSError):
            if unfinished.stat().st_mtime < time.time() - 3600:
                shutil.rmtree(unfinished)
    oldest = time.time() - days * 86400
    for kind in ("closed", "idempotency", *(f"uploads/{name}" for name in uploaders(data))):
        for entry in os.scandir(data / kind) if (data / kind).exists() else ():
            if entry.stat().st_mtime < (time.time() - 86400 if kind == "idempotency" else oldest):
                shutil.rmtree(entry.path) if entry.is_dir() else os.unlink(entry.path)
