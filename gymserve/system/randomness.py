"""The global random generators of a process: Python's, numpy's and, if it was imported, torch's.

Environments should draw from generators of their own, but many draw from these.
"""

import contextlib
import random
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np


def seed(value: int) -> None:
    """Seeds all global generators; `value` is from 0 to 2**63 - 1."""
    random.seed(value)
    np.random.seed((value ^ value >> 32) & 0xFFFFFFFF)
    if torch := sys.modules.get("torch"):
        torch.default_generator.manual_seed(value)


def state() -> list[Any]:  # Any: each library has its own form
    """The state of all global generators, as plain data."""
    version, numbers, gauss = random.getstate()
    legacy: Any = np.random.get_state(legacy=False)  # Any: numpy types it as a tuple
    legacy["state"]["key"] = legacy["state"]["key"].tolist()
    torch = sys.modules.get("torch")
    tensor = None if torch is None else torch.default_generator.get_state().tolist()
    return [[version, list(numbers), gauss], legacy, tensor]


def restore(state: list[Any]) -> None:  # Any: as `state` returns it
    """Restores a state that `state` returned."""
    (version, numbers, gauss), legacy, tensor = state
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(legacy)
    if tensor is not None and (torch := sys.modules.get("torch")):
        torch.default_generator.set_state(torch.tensor(tensor, dtype=torch.uint8))


@contextlib.contextmanager
def preserved() -> Iterator[None]:
    """Restores the state of all global generators after the block; too slow for use in each step."""
    before = state()
    try:
        yield
    finally:
        restore(before)
