"""Where the OpenSim models come from: osim-rl's own release, fetched once into a cache.

The models are Creative Commons Attribution 3.0, as their `<credits>` say, which name their authors; osim-rl's release
calls itself Apache 2.0. None of its code is kept, and nothing of it is part of this package.
"""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from gymserve.system.files import write_whole

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
    """The model files have not been fetched; the message holds the command that does."""


def folder() -> Path:
    """Where the models are: `$OPENSIM_MODELS`, else `gymserve/osim-rl-3.0.11` in the user's cache."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gymserve" / RELEASE


def present() -> bool:
    """Whether every model is there."""
    return all((folder() / name).is_file() for name in NAMES)


def path(name: str) -> Path:
    """The file of a model.

    Raises:
        ModelsMissing: it was not fetched.
    """
    found = folder() / name
    if not found.is_file():
        raise ModelsMissing(f"{found} is missing: {FETCH}")
    return found


def fetch(archive: Path | None = None) -> Path:
    """Brings the models and the bones' geometry into `folder()`, which it returns.

    Args:
        archive: osim-rl's release where it has been downloaded already; None: pip downloads it, 9.6 MB.

    Raises:
        ValueError: the archive is not that release.
        OSError: it cannot be downloaded, read or unpacked.
    """
    with tempfile.TemporaryDirectory() as name:
        content = (archive or download(Path(name))).read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != SHA256:
        raise ValueError(f"{archive or RELEASE} is not {RELEASE} as released: its SHA-256 is {found}, not {SHA256}")
    target = folder()
    (target / "Geometry").mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as release:
        for member in release:
            relative = PurePosixPath(member.name).parts[1:]
            if member.isfile() and relative[:2] == ("osim", "models") and _wanted(relative[2:]):
                source = release.extractfile(member)
                assert source is not None
                write_whole(target.joinpath(*relative[2:]), source.read())
    return target


def download(folder: Path) -> Path:
    """The release's archive, brought into `folder` by pip, from where it is set to look and by its SHA-256.

    Raises:
        OSError: pip is not here, or cannot bring it.
    """
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{RELEASE.replace('-3', '==3')} --hash=sha256:{SHA256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command = [*pip, "--no-binary=osim-rl", "--require-hashes", f"--requirement={wanted}", f"--dest={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise OSError(f"pip could not download {RELEASE}.tar.gz, which can also be given by its path: {last}")
    return folder / f"{RELEASE}.tar.gz"


def _wanted(parts: tuple[str, ...]) -> bool:
    return parts[0] in NAMES if len(parts) == 1 else len(parts) == 2 and parts[1].endswith(".vtp")
