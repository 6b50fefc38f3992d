"""Files that hold a secret of the server's: made once, for the server's user alone, and whole or not at all."""

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path


def kept(path: Path, make: Callable[[], str]) -> str:
    """The text in `path`; what `make` gives is put there first where there is none.

    Raises:
        OSError: it cannot be kept, as on a full disk. Nothing is left of it.
    """
    with contextlib.suppress(FileNotFoundError):
        if text := path.read_text().strip():
            return text
        path.unlink()  # older versions left it empty when the disk was full
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(make() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # of processes that start side by side, one is first
            os.link(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    return path.read_text().strip()
