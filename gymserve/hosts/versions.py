"""The versions that a journal records: those of every package that can change an environment's answers."""

import importlib.metadata
import platform
from functools import cache

import gymnasium
import numpy as np

import gymserve

SIMULATORS = ("ale-py", "box2d", "mujoco", "opensim")


@cache
def versions() -> dict[str, str]:
    """Package → version, for the installed packages."""
    installed = {
        "gymserve": gymserve.__version__,
        "gymnasium": gymnasium.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    for package in SIMULATORS:
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed
