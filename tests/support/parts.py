"""Parts of the machine that some tests need and pip does not install; without its part a test is skipped, with the reason.

A test names its parts with `@pytest.mark.needs("curl")`, or has a fixture or parameter with the name of a part. With
`--require-all` a missing part is a failure, so that CI skips nothing. `python -m tests.support.parts` lists missing parts.
"""

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from gymserve.environments.opensim.physics import models
from gymserve.protocol.errors import Unavailable
from gymserve.store import connect
from tests import ROOT
from tests.environments.opensim import release
from tests.support.databases import server_url

TYPESCRIPT = ROOT / ".venv" / "node" / "node_modules" / ".bin"  # its commands
FIXTURES = {"page": "chromium", "disk": "mount"}  # fixture → part, if the names differ
all_required = False  # set by the option --require-all


def needed(item: pytest.Item) -> list[str]:
    """The names of the parts that a test needs."""
    marked = [name for mark in item.iter_markers("needs") for name in mark.args]
    used = [FIXTURES.get(name, name) for name in getattr(item, "fixturenames", ())]
    if hasattr(item, "callspec"):
        used += [value for value in item.callspec.params.values() if isinstance(value, str)]
    return marked + [name for name in used if name in PARTS]


def require(*names: str) -> None:
    """Skips the calling test, or with `--require-all` fails it, if one of these parts is missing."""
    for name in names:
        if line := missing(name):
            if all_required:
                pytest.fail(line, pytrace=False)
            pytest.skip(line)


@functools.cache
def missing(name: str) -> str:
    """One line that says what is missing, why it is needed and how to get it; "" if the part exists."""
    exists, line = PARTS[name]
    return "" if exists() else line


def _command(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


def initdb() -> Path | None:
    """The newest version of PostgreSQL's program that creates databases; the server is in the same folder."""
    return max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None)


def _answers(kind: str) -> bool:
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(connect(server_url(kind), Path(folder))) as server:
        try:
            with server.reading() as session:
                return session.scalar(text("SELECT 1")) == 1
        except Unavailable:
            return False


def _compiles() -> bool:
    """Whether a C compiler and the C library's headers are installed."""
    source = "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <time.h>\n"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", "/dev/null"]
    with contextlib.suppress(OSError):
        return subprocess.run(command, input=source, text=True, capture_output=True, check=False).returncode == 0
    return False


def _mounts() -> bool:
    """Whether this process may mount a file system."""
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(OSError):
        command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return subprocess.run(["umount", folder], check=False).returncode == 0
    return False


def _draws() -> bool:
    """Whether MuJoCo can be loaded for rendering without a screen."""
    environment = {**os.environ, "MUJOCO_GL": "egl"}
    with tempfile.TemporaryDirectory() as folder:  # MuJoCo may write a log into its working directory
        command = [sys.executable, "-c", "import mujoco"]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False).returncode == 0


def _address(kind: str) -> str:
    return urlsplit(server_url(kind)).netloc.rpartition("@")[2]


# Name → (whether it exists, the line that a skipped test prints).
PARTS: dict[str, tuple[Callable[[], bool], str]] = {
    "sqlite": (lambda: True, ""),
    "postgresql": (
        lambda: _answers("postgresql"),
        f"PostgreSQL does not answer at {_address('postgresql')}, so what it stores is not tested: "
        "install and start it, or set TEST_POSTGRESQL to another one's URL",
    ),
    "initdb": (
        lambda: initdb() is not None,
        "PostgreSQL's server is not installed, so none can be stopped in a test: apt-get install postgresql",
    ),
    "mariadb": (
        lambda: _answers("mariadb"),
        f"MariaDB does not answer at {_address('mariadb')}, so what it stores is not tested: "
        "install and start it, or set TEST_MARIADB to another one's URL",
    ),
    "chromium": (
        _command("chromium"),
        "chromium is not installed, so pages are not tested in a browser: apt-get install chromium",
    ),
    "compiler": (
        _compiles,
        "there is no C compiler, so the clock cannot be made to jump: apt-get install gcc libc6-dev",
    ),
    "c++": (
        _command("c++"),
        "there is no C++ compiler, so the example in C++ is not run: apt-get install g++",
    ),
    "node": (
        _command("node"),
        "Node.js is not installed, so the example in JavaScript is not run: apt-get install nodejs",
    ),
    "curl": (
        _command("curl"),
        "curl is not installed, so requests are not sent as the documents print them: apt-get install curl",
    ),
    "openssl": (
        _command("openssl"),
        "openssl is not installed, so no certificate can be made to test TLS: apt-get install openssl",
    ),
    "openapi-typescript": (
        (TYPESCRIPT / "openapi-typescript").exists,
        "openapi-typescript is not installed, so no TypeScript client is made: "
        "npm install --prefix .venv/node openapi-typescript@7 typescript@5",
    ),
    "egl": (
        _draws,
        "EGL is not installed, so MuJoCo's environments cannot run in a server: apt-get install libegl1 libgl1",
    ),
    "mount": (
        _mounts,
        "this account may not mount a small disk, so a full disk is not tested: run as root, in a container with --privileged",
    ),
    "opensim": (
        models.present,
        "OpenSim's models are not fetched, so its environments are not tested: "
        "python -m tests.environments.opensim.release",
    ),
    "osim-rl": (
        release.ARCHIVE.is_file,
        "osim-rl's release is not fetched, so OpenSim's environments are not compared with it: "
        "python -m tests.environments.opensim.release",
    ),
}


def main(names: list[str]) -> int:
    """Prints a line for each missing part; returns 1 if there is one."""
    lines = [line for name in names or PARTS if (line := missing(name))]
    print(*lines, sep="\n", end="\n" if lines else "")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
