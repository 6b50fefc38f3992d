"""The package, built from a copy of the checkout and installed into environments of its own, away from the checkout."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import venv
import zipfile
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
        extra: of the package, with all that it needs; "" for the client alone.
        linked: or instead just these packages, as links to those that the tests use, which takes no time.
    """

    def __init__(self, folder: Path, wheel: Path, extra: str = "", linked: Iterable[str] = ()) -> None:
        venv.create(folder / "venv", symlinks=True)
        self.bin, self.folder = folder / "venv" / "bin", folder / "empty"
        self.folder.mkdir()
        if linked:
            self._link(wheel, linked)
        else:
            self._install(f"gymserve[{extra}] @ {wheel.as_uri()}" if extra else str(wheel))

    def _install(self, what: str) -> None:
        pip = [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), "install", "--quiet", "--no-compile"]
        command = [*pip, "--only-binary", ":all:", "--constraint", str(ROOT / "constraints.txt"), what]
        done = subprocess.run(command, env=variables(), capture_output=True, text=True, timeout=900)
        if done.returncode:
            reason = next((line for line in done.stderr.splitlines() if line.startswith("ERROR")), "pip failed")
            line = f"pip cannot install {what}, so it is not tested: {reason}"
            (pytest.fail if parts.all_required else pytest.skip)(line)

    def _link(self, wheel: Path, names: Iterable[str]) -> None:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self.packages)
        for each in map(importlib.metadata.distribution, names):
            for top in {file.parts[0] for file in each.files or ()} - {"..", "__pycache__"}:
                (self.packages / top).symlink_to(each.locate_file(top))
        program = self.bin / "gymserve"  # as pip would make it
        program.write_text(f"#!{self.bin}/python\nimport sys\nfrom gymserve.cli.main import main\nsys.exit(main())\n")
        program.chmod(0o755)

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
