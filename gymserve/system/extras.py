"""The extras of the package: `pip install gymserve` brings the client alone, `gymserve[grade]` and others bring the rest."""

import contextlib
import functools
import importlib.util
import sys
from collections.abc import Iterator

PACKAGES = {
    "grade": ("PIL", "cryptography", "xxhash"),
    "server": (
        "alembic",
        "argon2",
        "dotenv",
        "flask",
        "flask_wtf",
        "gunicorn",
        "joserfc",
        "prometheus_client",
        "psutil",
        "sqlalchemy",
    ),
}


class MissingExtra(ImportError):
    """The packages of an extra are not installed."""

    def __init__(self, extra: str, *packages: str) -> None:
        verb = "is" if len(packages) == 1 else "are"
        super().__init__(
            f"needs gymserve[{extra}]: pip install 'gymserve[{extra}]' ({', '.join(packages)} {verb} missing)"
        )


@functools.cache
def require(extra: str) -> None:
    """Checks that the packages of an extra are installed, without importing them; the rooms that need it call this first.

    Raises:
        MissingExtra: some are not.
    """
    if missing := [name for name in PACKAGES[extra] if importlib.util.find_spec(name) is None]:
        raise MissingExtra(extra, *missing)


@contextlib.contextmanager
def required() -> Iterator[None]:
    """Ends the program with one line on standard error if the imports in the block need an extra that is not installed."""
    try:
        yield
    except MissingExtra as error:
        sys.exit(f"gymserve: {error}")
