"""The versions that a journal notes: of whatever decides what an environment answers."""

import importlib.metadata
import platform
from functools import cache

import gymnasium
import numpy as np

import gymserve

SIMULATORS = ("ale-py", "box2d", "mujoco", "opensim")


@cache
def versions() -> dict[str, str]:
    """Package → version; only those that are installed."""
    found = {
        "gymserve": gymserve.__version__,
        "gymnasium": gymnasium.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    for package in SIMULATORS:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
