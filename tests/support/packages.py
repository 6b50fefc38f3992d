"""The package, built from a copy of the checkout and installed into environments of its own, away from the checkout."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests import ROOT
from tests.support import parts
from tests.support.servers import Server

FOLDERS = ("client", "examples", "grader", "gymserve")
PRIVATE = ("localsettings.py", ".env")
BUILD = "import sys; from setuptools import build_meta as build; print(getattr(build, sys.argv[1])(sys.argv[2]))"


def checkout(folder: Path) -> Path:
    """A copy of the checkout, since a build leaves files in its folder."""
    folder.mkdir()
    for path in ROOT.iterdir():
        if path.is_dir() and path.name in FOLDERS:
            shutil.copytree(path, folder / path.name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.is_file() and path.name not in PRIVATE:
            shutil.copy2(path, folder)
    return folder


def build(source: Path, kind: str, folder: Path) -> Path:
    """Builds a "wheel" or an "sdist" of the source in `source`, and returns its file."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", BUILD, f"build_{kind}", str(folder)]
    done = subprocess.run(command, cwd=source, env=variables(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.splitlines()[-1]


def variables() -> dict[str, str]:
    """The environment variables of this process without those that lead to the checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH" and name[:9] != "GYMSERVE_"}


class Environment:
    """A virtual environment with nothing in it but a wheel of ours, and what this needs.

    Args:
        extra: of the package, with all that it needs.
        listed: or instead just these packages, which takes pip less time.
    """

    def __init__(self, folder: Path, wheel: Path, extra: str = "", listed: Iterable[str] = ()) -> None:
        venv.create(folder / "venv", symlinks=True)
        self.bin, self.folder = folder / "venv" / "bin", folder / "empty"
        self.folder.mkdir()
        what = ["--no-deps", str(wheel), *listed] if listed else [f"gymserve[{extra}] @ {wheel.as_uri()}"]
        pip = [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), "install", "--quiet", "--no-compile"]
        command = [*pip, "--only-binary", ":all:", "--constraint", str(ROOT / "constraints.txt"), *what]
        done = subprocess.run(command, env=variables(), capture_output=True, text=True, timeout=900)
        if done.returncode:
            reason = next((line for line in done.stderr.splitlines() if line.startswith("ERROR")), "pip failed")
            line = f"pip cannot install what gymserve[{extra}] needs, so it is not tested: {reason}"
            (pytest.fail if parts.all_required else pytest.skip)(line)

    @property
    def packages(self) -> Path:
        """The folder `site-packages`."""
        (folder,) = self.bin.parent.glob("lib/python*/site-packages")
        return folder

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Runs a program of the environment in an empty folder."""
        words = [str(self.bin / command[0]), *command[1:]]
        settings = {**variables(), **more}
        return subprocess.run(words, cwd=self.folder, env=settings, capture_output=True, text=True, timeout=300)


class InstalledServer(Server):
    """`gymserve`, as it is installed in an environment."""

    def __init__(self, environment: Environment, data: Path, **settings: object) -> None:
        self.program = [str(environment.bin / "gymserve")]
        self.directory, self.path = environment.folder, ""
        super().__init__(data, **settings)
