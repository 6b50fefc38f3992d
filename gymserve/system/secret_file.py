"""Files that hold a secret of the server: created once, readable only by the server's user, and written atomically."""

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path


def read_or_create(path: Path, make: Callable[[], str]) -> str:
    """Reads the text in `path`; if there is none, writes the result of `make` there first.

    Raises:
        OSError: the file cannot be written, for example on a full disk; no partial file is left.
    """
    with contextlib.suppress(FileNotFoundError):
        if text := path.read_text().strip():
            return text
        path.unlink()  # older versions left an empty file when the disk was full
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(make() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process has just written it
            os.link(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    return path.read_text().strip()
