"""Fetches the OpenSim models from osim-rl's release into a cache, once.

The models are licensed under Creative Commons Attribution 3.0, according to their `<credits>`, which also name the authors;
osim-rl's release is licensed under Apache 2.0. Its code is deleted after the download, and none of it is part of this package.
"""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from gymserve.system.files import write_atomically

RELEASE = "osim-rl-3.0.11"
SHA256 = "2b1875a311aae4c10b949b90feafa3b4081efc2cb19d9d88228abe1b67dffd22"
FETCH = "python -m gymserve.environments.opensim fetch"
FOLDER_VARIABLE = "OPENSIM_MODELS"

ARM = "arm2dof6musc.osim"
RUN = "gait9dof18musc.osim"
WALK = {
    ("3D", False): "gait14dof22musc_20170320.osim",
    ("2D", False): "gait14dof22musc_planar_20170320.osim",
    ("3D", True): "gait14dof22musc_pros_20180507.osim",
    ("2D", True): "gait14dof22musc_planar_pros_20180507.osim",
}
NAMES = (ARM, RUN, *WALK.values())


class ModelsMissing(FileNotFoundError):
    """The model files have not been fetched; the message gives the command that fetches them."""


def folder() -> Path:
    """The folder of the models: `$OPENSIM_MODELS`, or else `gymserve/osim-rl-3.0.11` in the user's cache."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gymserve" / RELEASE


def present() -> bool:
    """Whether all models have been fetched."""
    return all((folder() / name).is_file() for name in NAMES)


def path(name: str) -> Path:
    """The file of a model.

    Raises:
        ModelsMissing: it has not been fetched.
    """
    file = folder() / name
    if not file.is_file():
        raise ModelsMissing(f"{file} is missing: {FETCH}")
    return file


def fetch(archive: Path | None = None) -> Path:
    """Copies the models and the bones' geometry from the release into `folder()`, and returns it.

    Args:
        archive: osim-rl's release, if it is already downloaded; None: pip downloads it, 9.6 MB.

    Raises:
        ValueError: the archive is not that release.
        OSError: it cannot be downloaded, read or unpacked.
    """
    with tempfile.TemporaryDirectory() as name:
        content = (archive or download(Path(name))).read_bytes()
    if (digest := hashlib.sha256(content).hexdigest()) != SHA256:
        raise ValueError(f"{archive or RELEASE} is not {RELEASE} as released: its SHA-256 is {digest}, not {SHA256}")
    target = folder()
    (target / "Geometry").mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as release:
        for member in release:
            relative = PurePosixPath(member.name).parts[1:]
            if member.isfile() and relative[:2] == ("osim", "models") and _wanted(relative[2:]):
                source = release.extractfile(member)
                assert source is not None
                write_atomically(target.joinpath(*relative[2:]), source.read())
    return target


def download(folder: Path) -> Path:
    """Downloads the release's archive into `folder` with pip, from its configured index, and checks its SHA-256.

    Raises:
        OSError: pip is not installed, or cannot download the archive.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{RELEASE.replace('-3', '==3')} --hash=sha256:{SHA256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command = [*pip, "--no-binary=osim-rl", "--require-hashes", f"--requirement={requirements}", f"--dest={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise OSError(f"pip could not download {RELEASE}.tar.gz, which can also be given by its path: {last}")
    return folder / f"{RELEASE}.tar.gz"


def _wanted(parts: tuple[str, ...]) -> bool:
    return parts[0] in NAMES if len(parts) == 1 else len(parts) == 2 and parts[1].endswith(".vtp")
