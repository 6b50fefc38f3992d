"""Fetches osim-rl's release for the tests: python -m tests.environments.opensim.release

Its models go into the environments' folder; the archive is kept beside it, to compare our environments with its code.
"""

import os
import sys
import tarfile
import tempfile
from pathlib import Path

from gymserve.environments.opensim.physics import models

ARCHIVE = models.folder().with_name(f"{models.RELEASE}.tar.gz")


def fetch() -> None:
    """Downloads the release unless it exists, and installs the models."""
    if not ARCHIVE.is_file():
        ARCHIVE.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=ARCHIVE.parent) as name:
            os.replace(models.download(Path(name)), ARCHIVE)
    if not models.present():
        models.fetch(ARCHIVE)


def unpack(folder: Path) -> Path:
    """Unpacks the release into a folder; returns the folder of its code."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / models.RELEASE


if __name__ == "__main__":
    try:
        fetch()
    except (OSError, ValueError) as error:
        sys.exit(f"OpenSim's models cannot be fetched, so its tests are skipped: {error}")
